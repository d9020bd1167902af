/** Network: the server's links, what is answered on each, leases, and the two set-ups of its cards. */

import { option } from "./bus.js";
import { may, NOT_ALLOWED, ONLY_LOOK, unless } from "./may.js";
import { roleOf, serveButton } from "./overview.js";
import { _, alert, button, card, confirm, dialog, el, failed, fill, format, labelled, say, table, toast, when } from "./ui.js";

/** Seconds that a person has to confirm a set-up; the server waits five more (ltspd-setup.timer). */
const THINK = 55;

/**
 * When this page takes an unconfirmed set-up for lost: by performance.now(), because a set-up may bring another time.
 * It outlives the view, which is drawn anew when the connection comes back. Null: it was under way before the page.
 */
let until = null;

/** Return the state of a link in words, with a kind of label. */
function stateOf(state) {
    return {
        down: [_("Down"), "bad"],
        up: [_("Up"), "good"],
        routable: [_("Up, leads outside"), "good"],
    }[state] ?? [state, ""];
}

/** A cell with a link's role, and what it means. */
function role(first) {
    const word = labelled(link => [link.Dhcp, link.Dhcp === "off" ? "" : "busy"])(first);
    const meaning = el("span");
    const update = link => {
        word.update(link);
        say(meaning, roleOf(link.Dhcp));
    };
    update(first);
    return { node: el("span", {}, word.node, " ", meaning), update };
}

function links(model, view) {
    const shown = table({
        caption: _("Network links of this server"),
        key: link => link.path,
        empty: _("There is no network link."),
        columns: [
            { title: _("Link"), head: true, text: link => link.Name },
            { title: _("State"), make: labelled(link => stateOf(link.State)) },
            { title: _("Addresses"), text: link => link.Addresses.join(", ") || "–" },
            { title: _("DHCP"), make: role },
        ],
    });
    const draw = change => shown.set(byName(model.all("Link")), change?.paths("Link"));
    view.watch(["Link"], draw);
    draw();
    return card(_("Links"), { id: "links" }, shown.node,
                el("p", { class: "note" }, _("DHCP_LINKS in the section [server] of the settings gives a link another role.")));
}

function byName(found) {
    return found.sort((one, other) => one.Name.localeCompare(other.Name));
}

function rivals(model, view) {
    const shown = table({
        caption: _("Other DHCP servers that were heard"),
        key: each => `${each.link} ${each.Address} ${each.Mac}`,
        empty: _("No other DHCP server was heard on a link that is served."),
        columns: [
            { title: _("Server"), head: true, text: each => each.Address },
            { title: _("MAC address"), text: each => each.Mac || "–" },
            { title: _("Link"), text: each => each.link },
            {
                title: _("What it does"), text: each => [
                    each.Gives ? _("gives addresses") : "", each.Boots ? _("says what to boot") : "",
                ].filter(Boolean).join(", ") || "–",
            },
            { title: _("Boot file"), text: each => each.File || "–" },
        ],
    });
    const draw = () => shown.set(byName(model.all("Link")).flatMap(
        link => (link.Servers ?? []).map(each => ({ ...each, link: link.Name }))));
    view.watch(["Link"], draw);
    draw();
    return card(_("Other DHCP servers"), { id: "rivals" }, shown.node);
}

function leases(model, view) {
    const shown = table({
        caption: _("Addresses that machines have by DHCP"),
        key: client => client.path,
        empty: _("No machine has asked for an address since ltspd started."),
        columns: [
            { title: _("Machine"), head: true, text: client => client.Hostname || client.Mac },
            { title: _("MAC address"), text: client => client.Mac },
            { title: _("Address"), text: client => client.Lease },
            { title: _("Until"), text: client => client.LeaseExpires ? when(client.LeaseExpires) : "–" },
            { title: _("Answered by"), text: client => client.LeaseServer || "–" },
            { title: _("Link"), text: client => client.Link || "–" },
        ],
    });
    let known = new Map();
    const draw = () => {
        const found = model.all("Client").filter(client => client.Lease).sort(byLease);
        known = new Map(found.map(client => [client.path, client.Lease]));
        shown.set(found);
    };
    view.watch(["Client"], change => {
        const clients = [...change.paths("Client")].map(path => model.at("Client", path)).filter(Boolean);
        // Most news of a client is no other lease, and a room has many.
        if (change.whole.has("Client") || clients.some(each => (known.get(each.path) ?? "") !== each.Lease))
            draw();
        else
            clients.filter(each => each.Lease).forEach(each => shown.touch(each));
    });
    draw();
    return card(_("Leases"), { id: "leases" }, shown.node);
}

const COLLATOR = new Intl.Collator("en", { numeric: true });

function byLease(one, other) {
    return COLLATOR.compare(one.Lease, other.Lease);
}

function serving(model, view) {
    const state = el("p", { "aria-live": "polite" });
    const serve = serveButton(model);
    const draw = () => {
        say(state, model.manager.Serving
            ? _("Machines that boot are answered.") : _("Machines that boot get no answer."));
        serve.update();
    };
    view.watch(["Manager"], draw);
    draw();
    return card(_("Answers"), { id: "serving", actions: [serve.node] }, state);
}

// ---- set-ups of cards ------------------------------------------------------------------------------------------

/** Show a set-up that waits for a word, with the time that is left; it is there after a reload, too. */
function waiting(model, view) {
    const node = el("div", { id: "waiting", role: "alert" });
    const left = el("span");
    let timer = null;
    const count = () => say(left, until === null
        ? _("It is undone within a minute.")
        : format(_("It is undone in $0 s."), Math.max(0, Math.ceil((until - performance.now()) / 1000))));
    const draw = () => {
        window.clearInterval(timer);
        if (!model.manager.CardsWait) {
            until = null;
            fill(node);
            return;
        }
        if (node.firstChild)
            return;
        fill(node, alert("warning", _("Does all still work? The new set-up waits for your word."),
                         el("p", {}, _("A card has lost an address by it. Whoever reads this has a connection still; " +
                                       "if nobody confirms it, all is as it was before."), " ",
                            // A number that changes each second is nothing to be read out each time.
                            el("span", { "aria-live": "off" }, left)),
                         el("div", { class: "actions" },
                            button(_("Keep it"), () => model.manage("ConfirmSetup"), { kind: "primary" }),
                            button(_("Undo it now"), () => model.manage("UndoSetup")))));
        count();
        timer = window.setInterval(count, 500);
        node.scrollIntoView({ block: "nearest" });
    };
    view.watch(["Manager"], change => {
        if (model.manager.CardsWait && !node.firstChild && change)
            until = performance.now() + THINK * 1000;
        draw();
    });
    view.onend(() => window.clearInterval(timer));
    draw();
    return node;
}

/** Make a labelled field. */
function field(title, input, help = "") {
    const note = help ? el("small", { id: `${input.id}-help` }, help) : null;
    if (note)
        input.setAttribute("aria-describedby", note.id);
    return el("div", { class: "field" }, el("label", { for: input.id }, title), input, note);
}

function chooser(id) {
    return el("select", { id });
}

/** Offer these names in a select; what is chosen stays if it is still there. */
function offer(select, names, first = null) {
    const chosen = select.value;
    const wanted = [...first === null ? [] : [["", first]], ...names.map(name => [name, name])];
    if (JSON.stringify(wanted) === select.dataset.offered)
        return;
    select.dataset.offered = JSON.stringify(wanted);
    fill(select, wanted.map(([value, text]) => el("option", { value }, text)));
    if (wanted.some(([value]) => value === chosen))
        select.value = chosen;
}

function cards(model, view) {
    const state = el("p", { "aria-live": "polite" });
    const kinds = [["single", _("One card, beside a router that gives addresses")],
        ["dual", _("Two cards: clients have a network of their own, and this server is their router")]];
    const radios = kinds.map(([value]) => el("input", { type: "radio", name: "kind", id: `kind-${value}`, value }));
    const lan = chooser("lan");
    const wan = chooser("wan");
    const address = el("input", { id: "address", type: "text", placeholder: "192.168.67.1/24", spellcheck: false });
    const dns = el("input", { id: "dns", type: "checkbox" });
    const convert = el("input", { id: "convert", type: "checkbox" });
    const check = (box, text) => el("div", {}, box, el("label", { for: box.id }, text));
    const ofOne = check(dns, _("Answer clients' questions for names, too"));
    const ofTwo = [
        field(_("Card towards the router"), wan),
        field(_("Address of this server for clients"), address, _("Without an entry it is 192.168.67.1/24.")),
    ];
    const kind = () => radios.find(each => each.checked)?.value ?? "single";
    const adapt = () => {
        ofOne.hidden = kind() === "dual";
        ofTwo.forEach(each => { each.hidden = kind() !== "dual" });
        const names = byName(model.all("Link")).map(each => each.Name);
        offer(lan, names, kind() === "dual" ? null : _("The only wired one"));
        offer(wan, names);
    };
    const asked = () => ({
        ...lan.value && { lan: option("s", lan.value) },
        ...kind() === "dual" && wan.value && { wan: option("s", wan.value) },
        ...kind() === "dual" && address.value.trim() && { address: option("s", address.value.trim()) },
        ...kind() === "single" && dns.checked && { dns: option("b", true) },
        ...convert.checked && { convert: option("b", true) },
    });
    const undo = button(_("Undo the set-up"), () => confirm({
        title: _("Undo the set-up of the cards?"),
        text: _("All is taken back that it has done: addresses, routing and names. This page may lose its connection."),
        action: _("Undo the set-up"),
        danger: true,
        run: async () => {
            const [lines] = await model.manage("UndoSetup");
            toast(lines.length ? lines.join("\n") : _("There is no set-up, so nothing is undone."));
        },
    }));
    const plan = button(_("Show what would change"), async () => {
        const [answer] = await model.manage("SetUp", "sa{sv}",
                                            [kind(), { ...asked(), "dry-run": option("b", true) }]);
        await propose(model, kind(), asked(), answer, lan.value);
    }, { kind: "primary" });
    radios[0].checked = model.manager.Cards !== "dual";
    radios[1].checked = !radios[0].checked;
    const form = el("form", { on: { change: adapt, submit: event => { event.preventDefault(); plan.click() } } },
                    el("fieldset", {}, el("legend", {}, _("Set-up")), radios.map((radio, at) => el(
                        "div", {}, radio, el("label", { for: radio.id }, kinds[at][1])))),
                    field(_("Card of the clients"), lan), ofTwo, ofOne,
                    check(convert, _("Change files of ifupdown, where that has the card")),
                    el("div", { class: "actions" }, plan));
    const draw = () => {
        say(state, {
            single: _("The set-up with one card is in force."),
            dual: _("The set-up with two cards is in force."),
        }[model.manager.Cards] ?? _("No set-up of this kind is in force: the cards are as the system has them."));
        undo.hidden = !model.manager.Cards;
        adapt();
    };
    view.watch(["Manager", "Link"], draw);
    draw();
    return card(_("Set-up of the cards"), { id: "cards", actions: [undo] }, state, form);
}

/** Show the differences of a set-up, and make it if a person says so. */
async function propose(model, kind, asked, answer, lan) {
    const notes = answer.Warnings.map(each => alert("warning", _("Note"), each));
    if (!answer.Changes.length) {
        await dialog({
            title: _("Nothing changes"), body: [el("p", {}, _("It is set up like that already.")), notes],
            buttons: [], cancel: _("Close"),
        });
        return;
    }
    const here = window.location.hostname;
    const own = model.all("Link").find(each => each.Name === lan)?.Addresses.some(each => each.split("/")[0] === here);
    const risk = answer.Confirm
        ? alert("warning", _("A card loses an address by this"),
                el("p", {}, _("Whoever is connected by it loses the connection, this page perhaps, too. So it is undone " +
                              "after one minute, unless you confirm it here within 55 s.")),
                own ? el("p", {}, format(_("This page is connected by $0, which that card has."), here)) : null)
        : null;
    await dialog({
        title: _("What would change"),
        wide: true,
        body: [
            risk, notes,
            el("ul", { class: "changes", "aria-label": _("Changes") },
               answer.Changes.map(each => el("li", {}, el("code", {}, each)))),
        ],
        buttons: [{
            text: _("Set it up"),
            run: async () => {
                const made = model.manage("SetUp", "sa{sv}", [kind, asked]);
                // Services may take long to follow, and the time for a word runs.
                await Promise.race([made, waits(model, made)]);
                made.then(([result]) => result.Confirm || toast(_("The cards are set up.")), failed);
            },
        }],
    });
}

/** Resolve once a set-up waits for a word, or `made` has ended. */
function waits(model, made) {
    return new Promise(resolve => {
        const end = model.watch(["Manager"], () => model.manager.CardsWait && resolve());
        made.finally(end).catch(() => {});
    });
}

// ---- other DHCP servers ----------------------------------------------------------------------------------------

function foreign(model, view) {
    const link = chooser("foreign-link");
    const server = chooser("foreign-server");
    const lines = el("pre", { id: "foreign-lines", tabindex: 0, "aria-label": _("Lines for the other server") });
    const copy = button(_("Copy"), async () => {
        await copied(lines);
        toast(_("Copied."));
    });
    const draw = () => {
        const found = byName(model.all("Link")).filter(each => Object.keys(each.ForeignLines).length);
        node.hidden = !found.length;
        offer(link, found.map(each => each.Name));
        const texts = found.find(each => each.Name === link.value)?.ForeignLines ?? {};
        offer(server, Object.keys(texts));
        say(lines, texts[server.value] ?? "");
    };
    const node = card(_("Lines for another DHCP server"), { id: "foreign", actions: [copy] },
                      el("p", {}, _("They hold this server's address and the boot programs that are installed now: take " +
                                    "them anew when those change.")),
                      el("div", { class: "row", on: { change: () => draw() } },
                         field(_("Link"), link), field(_("Server"), server)),
                      lines);
    view.watch(["Link"], draw);
    draw();
    return node;
}

/** Copy what an element shows; without https a browser has no clipboard but by a selection. */
async function copied(node) {
    if (window.isSecureContext && navigator.clipboard) {
        await navigator.clipboard.writeText(node.textContent);
        return;
    }
    const range = document.createRange();
    range.selectNodeContents(node);
    window.getSelection().removeAllRanges();
    window.getSelection().addRange(range);
    if (!document.execCommand("copy"))
        throw new Error(_("The browser does not let this page copy; the text is selected, so Ctrl+C does."));
}

/** Close the buttons that this person may not press; all of them need the same right. */
async function permit(root, only, model) {
    const [allowed] = await may(model, [[model.manager.path, "Serve", [["b", true]]]]);
    only.hidden = allowed;
    root.querySelectorAll("#serving button, #cards button").forEach(each => unless(each, allowed ? "" : NOT_ALLOWED()));
}

function show(root, model, view) {
    const only = el("p", { class: "faint", hidden: true }, ONLY_LOOK());
    root.append(only, waiting(model, view), serving(model, view), links(model, view), rivals(model, view),
                leases(model, view), cards(model, view), foreign(model, view));
    permit(root, only, model);
}

export const network = { id: "network", title: _("Network"), show };
