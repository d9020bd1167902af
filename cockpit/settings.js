/** Settings: ltsp.conf with findings at its lines, what counts for whom, and the version before. */

import { option } from "./bus.js";
import { pieces } from "./difference.js";
import { editor } from "./editor.js";
import { _, alert, button, card, dialog, el, fill, format, Keyed, label, mark, ngettext, say, table, toast } from "./ui.js";

/** Milliseconds of rest in typing until a text is checked. */
const REST = 400;
/** Parts of a client's life, as sections of ltsp.conf name them; the first is where most settings count. */
const APPLETS = ["init", "initrd-bottom", "service", "login", "session"];

/**
 * What somebody has typed and not saved, on which version of the file, and how that version was.
 *
 * It outlives the view, which is drawn anew when the daemon comes back or another tab was open.
 */
let draft = null;

window.addEventListener("beforeunload", event => draft && event.preventDefault());

function severity(word) {
    return { error: [_("Error"), "bad"], warning: [_("Warning"), "warning"], info: [_("Note"), "busy"] }[word] ?? [word, ""];
}

/** Return findings by what a row is known by, each once. */
function unique(found) {
    return [...new Map(found.map(each => [keyOf(each), each])).values()];
}

function keyOf(finding) {
    return `${finding.Line} ${finding.Column} ${finding.Message}`;
}

function show(root, model, view) {
    const area = el("textarea", {
        id: "conf", "aria-label": _("Text of ltsp.conf"), "aria-describedby": "findings-said", spellcheck: false,
        wrap: "off", autocomplete: "off", autocapitalize: "off", readonly: true,
    });
    const gutter = el("div", { class: "gutter", "aria-hidden": true });
    const notice = el("div", { id: "notice", role: "status" });
    const status = el("span", { id: "status", role: "status", class: "faint" });
    const said = el("p", { id: "findings-said", "aria-live": "polite" });
    const list = el("ul", { id: "findings", "aria-label": _("Findings") });
    const body = el("div", { class: "editor" }, gutter, area);
    // The version that is shown or was typed on.
    let file = { text: "", tag: "" };
    let known = false;
    let saving = false;
    // Only the last of several questions counts.
    let turn = null;
    let reading = null;
    let rest = null;

    const findings = new Keyed(list, keyOf, each => ({
        node: el("li", {},
                 label(...severity(each.Severity)), " ",
                 each.Line ? button(format(_("Line $0"), each.Line), () => edited.go(each.Line), { kind: "link" }) : null,
                 " ", each.Message),
        update() {},
    }));

    const edited = editor(area, gutter, text => {
        draft = text === file.text ? null : { text, file };
        tell();
        window.clearTimeout(rest);
        rest = window.setTimeout(check, REST);
    });

    const save = button(_("Save"), async () => {
        try {
            await store(edited.text, file.tag);
        } catch (error) {
            // Not as a toast, which would lie over these very buttons.
            if (error.name.endsWith(".ConfigChanged"))
                await load(error.message);
            else
                fill(notice, alert("danger", _("Nothing was saved"), el("p", { class: "lines" }, error.message)));
        }
    }, { kind: "primary" });
    const discard = button(_("Discard changes"), async () => {
        draft = null;
        fill(notice);
        await load();
    });
    const former = button(_("Previous version"), back);

    function tell() {
        const changed = known && edited.text !== file.text;
        save.disabled = !changed || saving;
        discard.hidden = !changed;
        former.disabled = !known;
        if (!saving)
            say(status, !known ? "" : changed ? _("Not saved yet") : _("As saved"));
    }

    /** Show the findings of the text as it is typed. */
    async function check() {
        const mine = turn = {};
        let found;
        try {
            [found] = await model.manage("CheckText", "s", [edited.text]);
        } catch (error) {
            if (turn === mine)
                say(said, error.message);
            return;
        }
        if (turn !== mine)
            return;
        findings.set(unique(found));
        edited.mark(found.map(each => ({ line: each.Line, severity: each.Severity, message: each.Message })));
        const count = word => found.filter(each => each.Severity === word).length;
        const [errors, warnings] = [count("error"), count("warning")];
        mark(area, "aria-invalid", errors > 0 ? "true" : null);
        say(said, errors + warnings === 0 ? _("There are no mistakes.") : [
            errors ? format(ngettext("$0 error", "$0 errors", errors), errors) : "",
            warnings ? format(ngettext("$0 warning", "$0 warnings", warnings), warnings) : "",
        ].filter(Boolean).join(", "));
    }

    /** Read the file, and show it unless somebody has typed meanwhile; `why` is what kept that from being saved. */
    async function load(why = "") {
        const mine = reading = {};
        let found;
        try {
            [found] = await model.manage("ReadConfig", "a{sv}", [{}]);
        } catch (error) {
            if (reading === mine)
                refuse(error);
            return;
        }
        if (reading !== mine)
            return;
        const now = { text: found.Text, tag: found.Tag };
        if (draft?.text === now.text)
            draft = null;
        if (draft && draft.file.tag !== now.tag) {
            file = draft.file;
            edited.text = draft.text;
            clash(now, why);
        } else {
            file = now;
            edited.text = draft ? draft.text : now.text;
            fill(notice);
        }
        if (!known) {
            known = true;
            area.readOnly = false;
            body.hidden = false;
        }
        tell();
        await check();
    }

    function refuse(error) {
        known = false;
        area.readOnly = true;
        body.hidden = true;
        fill(notice, alert("warning", _("ltsp.conf can't be shown"),
                           el("p", {}, error.message),
                           /NotAuthorized|AccessDenied/.test(error.name)
                               ? el("p", {}, _("It may hold passwords, so only administrators read it: \"Limited access\" at " +
                                               "the top of this window becomes administrative access."))
                               : null));
        tell();
    }

    /** Say that somebody else has changed the file while this text was typed. */
    function clash(now, why) {
        fill(notice, alert(
            "warning", _("Somebody else has changed ltsp.conf meanwhile"),
            why ? el("p", {}, why) : null,
            el("p", {}, _("Your text is not saved, and saving it now would undo that change. Look at the difference first.")),
            el("div", { class: "actions" },
               button(_("Show the difference"), () => dialog({
                   title: _("From their version to your text"), wide: true,
                   body: changes(now.text, edited.text),
                   cancel: _("Close"), buttons: [{
                       text: _("Take mine"), kind: "danger", run: () => {
                           file = now;
                           draft = { text: edited.text, file };
                           fill(notice);
                           tell();
                       },
                   }],
               })),
               button(_("Take theirs"), async () => {
                   draft = null;
                   await load();
               }))));
    }

    /** Save a text in place of the version with this tag; throws what the daemon says. `whole`: nothing typed stays. */
    async function store(text, tag, whole = false) {
        saving = true;
        say(status, _("Saving…"));
        tell();
        try {
            const [now] = await model.manage("SaveConfig", "ss", [text, tag]);
            // What was typed while it was being saved is a draft on this version.
            const typed = edited.text;
            const same = whole || typed === text;
            file = { text, tag: now };
            draft = same ? null : { text: typed, file };
            if (same)
                edited.text = text;
            fill(notice);
            toast(model.manager.State === "applying"
                ? _("Saved. Services are being brought up to date.")
                : _("Saved and in force."));
        } finally {
            saving = false;
            tell();
        }
        await check();
        if (model.manager.ConfigTag !== file.tag)
            await load();
    }

    /** Offer the version before, by its differences. */
    async function back() {
        const [found] = await model.manage("ReadConfig", "a{sv}", [{ former: option("b", true) }]);
        const [now] = await model.manage("ReadConfig", "a{sv}", [{}]);
        const none = found.Tag === "none";
        const same = found.Text === now.Text;
        await dialog({
            title: _("Previous version of ltsp.conf"),
            wide: true,
            body: none || same
                ? el("p", {}, none ? _("There is no previous version yet.") : _("It is the same as the present one."))
                : [
                    el("p", {}, _("This is what differs if you go back. The present version is kept as the previous one.")),
                    draft ? alert("warning", _("What you have typed is not saved"), _("Going back drops it.")) : null,
                    changes(now.Text, found.Text),
                ],
            buttons: none || same ? [] : [{
                text: _("Go back to it"),
                run: () => store(found.Text, now.Tag, true),
            }],
        });
    }

    root.append(
        notice,
        card(_("ltsp.conf"), { id: "editor", actions: [status, former, discard, save] },
             body, said, list),
        explained(model, view, edited));
    view.watch(["Manager"], () => {
        if (!saving && model.manager.ConfigTag !== file.tag)
            load();
    });
    view.onend(() => window.clearTimeout(rest));
    tell();
    load();
}

/** Show a difference: what goes and what comes, with the lines around. */
function changes(before, after) {
    const words = { same: "", removed: _("removed"), added: _("added") };
    const signs = { same: " ", removed: "−", added: "+" };
    return el("div", { class: "difference", tabindex: 0, role: "region", "aria-label": _("Differences") },
              pieces(before, after).map(piece => el("ol", {}, piece.map(each => el(
                  "li", { class: each.kind },
                  el("span", { class: "number", "aria-hidden": true }, `${signs[each.kind]} ${each.line}`),
                  words[each.kind] ? el("span", { class: "sr-only" }, `${words[each.kind]} `) : null,
                  el("code", {}, each.text))))));
}

// ---- what counts for whom ------------------------------------------------------------------------------------------

function explained(model, view, edited) {
    const names = el("datalist", { id: "machines" });
    const who = el("input", { id: "who", type: "text", list: "machines", spellcheck: false, autocomplete: "off" });
    const applet = el("select", { id: "applet" }, APPLETS.map(each => el("option", { value: each }, each)));
    const all = el("input", { id: "defaults", type: "checkbox" });
    const wrong = el("p", { id: "explained-wrong", role: "status" });
    const shown = table({
        caption: _("Settings that count"),
        key: each => each.Name,
        empty: _("ltsp.conf sets nothing here."),
        columns: [
            { title: _("Parameter"), head: true, text: each => each.Name },
            {
                title: _("Value"), text: each => each.Withheld
                    ? _("(withheld)")
                    : each.Code ? format(_("(code, which only the client can run) $0"), each.Value) : each.Value,
            },
            {
                title: _("Set by"), make: first => {
                    const node = el("span");
                    const update = each => fill(node, each.File
                        ? button(format(_("Line $0"), each.Line), () => edited.go(each.Line), { kind: "link" })
                        : _("default"));
                    update(first);
                    return { node, update };
                },
            },
        ],
    });
    let asked = null;

    async function ask() {
        const mine = asked = {};
        try {
            const [found] = await model.manage("ExplainConfig", "a{sv}", [host(model, who.value.trim(), applet.value)]);
            if (asked !== mine)
                return;
            say(wrong, "");
            shown.set(found.filter(each => all.checked || each.File));
            shown.node.hidden = false;
        } catch (error) {
            if (asked !== mine)
                return;
            say(wrong, error.message);
            shown.node.hidden = true;
        }
    }

    const draw = () => fill(names, model.all("Client").filter(each => each.Hostname).map(
        each => el("option", { value: each.Hostname }, each.Mac)));
    const look = button(_("Show"), ask);
    shown.node.hidden = true;
    let tag = model.manager.ConfigTag;
    view.watch(["Manager"], () => {
        if (model.manager.ConfigTag !== tag && asked)
            ask();
        tag = model.manager.ConfigTag;
    });
    // A room of hundreds is offered only to who is about to name one of them.
    who.addEventListener("focus", draw);
    return card(_("Effective values"), { id: "explained" },
                el("form", { class: "tools", on: { submit: event => { event.preventDefault(); look.click() } } },
                   el("div", { class: "field" }, el("label", { for: "who" }, _("Machine")), who,
                      el("small", { id: "who-help" }, _("Host name, MAC address or IP address; empty: this server"))),
                   el("div", { class: "field" }, el("label", { for: "applet" }, _("Part of its life")), applet),
                   el("div", {}, all, el("label", { for: "defaults" }, _("Defaults, too"))),
                   look),
                names, wrong, shown.node);
}

/** Return what ExplainConfig is asked for: all that is known of a machine, because sections are chosen by each of it. */
function host(model, word, applet) {
    if (!word)
        return {};
    const given = {};
    const client = model.all("Client").find(
        each => [each.Hostname, each.Mac, each.Address].some(name => name && name === word.toLowerCase()));
    if (client) {
        given.mac = client.Mac;
        given.hostname = client.Hostname;
        given.ip = client.Address;
    } else if (/^[\d.]+$/.test(word)) {
        given.ip = word;
    } else if (word.includes(":") || word.split("-").length === 6) {
        given.mac = word;
    } else {
        given.hostname = word;
    }
    given.applet = applet;
    return Object.fromEntries(Object.entries(given).filter(([, value]) => value).map(
        ([name, value]) => [name, option("s", value)]));
}

export const settings = { id: "settings", title: _("Settings"), show };
