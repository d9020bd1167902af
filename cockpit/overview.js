/** Overview: how the server is doing, what needs a person, what is served where, and what is being worked on. */

import { firstRun } from "./firstrun.js";
import * as jobs from "./jobs.js";
import { may, NOT_ALLOWED, ONLY_LOOK, unless } from "./may.js";
import { _, button, bytes, card, confirm, dialog, el, fields, format, Keyed, label, labelled, ngettext, say,
         table, toast } from "./ui.js";

/** So many jobs that have ended are shown. */
const ENDED = 5;
/** What a client does that is on. */
const ON = ["network", "root", "login"];

/** Return the state of the server in words, with a kind of label. */
function stateOf(state) {
    return {
        starting: [_("Starting"), "busy"],
        "in-sync": [_("All is well"), "good"],
        applying: [_("Applying changes"), "busy"],
        attention: [_("Needs attention"), "warning"],
    }[state] ?? [state, ""];
}

/** Return what a link's role means to somebody who stands before the switch. */
export function roleOf(role) {
    return {
        real: _("gives addresses and boots clients"),
        proxy: _("boots clients; addresses come from the DHCP server that is there"),
        relay: _("boots clients that a DHCP relay asks for"),
        foreign: _("answers nothing; another DHCP server names its boot files"),
        off: _("answers nothing"),
    }[role] ?? role;
}

/** Return how many clients are on, and how many are known. */
function counted(clients) {
    const on = clients.filter(each => ON.includes(each.Stage)).length;
    return format(ngettext("$0 on, $1 known", "$0 on, $1 known", on), on, clients.length);
}

/**
 * What this person may do here: `rights.configure`, and `rights.build(path)` of an image. Until polkit has answered,
 * nothing is said against anything.
 */
function rightsOf(model, view) {
    const builds = new Map(), told = [];
    const rights = {
        configure: true,
        build: path => builds.get(path) ?? true,
        /** Have a function called when that is known, and when it changes. */
        ontold: tell => told.push(tell),
    };
    const ask = async () => {
        const images = model.all("Image").map(each => each.path);
        const [configure, ...found] = await may(model, [
            [model.manager.path, "Apply", [["a{sv}", {}]]],
            ...images.map(path => [path, "Build", [["a{sv}", {}]]]),
        ]);
        rights.configure = configure;
        images.forEach((path, at) => builds.set(path, found[at]));
        told.forEach(tell => tell());
    };
    view.watch(["Image"], change => change.whole.has("Image") && ask());
    ask();
    return rights;
}

/** Show what the doctor finds on the server's own side. */
async function diagnose(model) {
    const [findings] = await model.manage("Diagnose", "s", [""]);
    const words = {
        error: [_("Keeps machines from booting"), "bad"], warning: [_("May be in the way"), "warning"],
        info: [_("Seen"), ""],
    };
    await dialog({
        title: _("What keeps machines from booting"),
        wide: true,
        cancel: _("Close"),
        buttons: [],
        body: findings.length === 0
            ? el("p", {}, _("Nothing was found on the server's side."))
            : el("ul", { class: "plain findings" }, findings.map(each => el(
                "li", {},
                el("div", { class: "line" }, el("strong", {}, each.Subject),
                   label(...(words[each.Severity] ?? [each.Severity, ""]))),
                el("p", {}, each.Cause),
                each.Step ? el("p", { class: "step" }, each.Step) : null))),
    });
}

/** Problems, each with its subject apart: the sentence goes on with the reason and the next step. */
function problems(model, view) {
    const list = el("ul", { class: "plain problems" });
    const keyed = new Keyed(list, text => text, text => {
        const [subject, ...rest] = text.split(": ");
        return { node: el("li", {}, el("strong", {}, subject), " ", el("span", {}, rest.join(": "))), update() {} };
    });
    const none = el("p", {}, _("There is nothing that you should know."));
    const shown = card(_("Problems"), {
        id: "problems", actions: [button(_("Look for causes"), () => diagnose(model))],
    }, list, none);
    const draw = () => {
        // Two problems of the same words are one to a reader.
        keyed.set([...new Set(model.manager.Problems)]);
        none.hidden = model.manager.Problems.length > 0;
    };
    view.watch(["Manager"], draw);
    draw();
    return shown;
}

/** Make the button that ends and begins answering machines that boot; `update()` follows the server. */
export function serveButton(model) {
    const node = button("", async () => {
        if (!model.manager.Serving)
            return model.manage("Serve", "b", [true]);
        return confirm({
            title: _("Answer no machine that boots?"),
            text: _("DHCP, TFTP and boot menus stop, also after a restart of this server. Clients that run go on; " +
                "but where this server gives addresses, nobody is given one meanwhile."),
            action: _("Stop answering"),
            danger: true,
            run: () => model.manage("Serve", "b", [false]),
        });
    });
    return { node, update: () => say(node, model.manager.Serving ? _("Stop answering") : _("Answer machines")) };
}

function server(model, view, rights) {
    const facts = fields([
        [_("State"), "state"], [_("Machines that boot"), "serving"], [_("Clients"), "clients"],
        [_("Version"), "version"], [_("Images in"), "images"], [_("TFTP from"), "tftp"],
    ]);
    const state = labelled(manager => stateOf(manager.State))(model.manager);
    facts.set({ state: state.node });
    const serve = serveButton(model);
    const apply = button(_("Apply again"), async () => {
        await model.manage("Apply", "a{sv}", [{}]);
        toast(_("Everything is up to date."));
    }, { title: _("Bring everything up to date now") });
    rights.ontold(() => [serve.node, apply].forEach(
        each => unless(each, rights.configure ? "" : NOT_ALLOWED())));
    const rooms = fieldsOfRooms(model);
    const draw = () => {
        const { Serving, Version, BaseDirectory, TftpDirectory } = model.manager;
        state.update(model.manager);
        serve.update();
        facts.set({
            serving: Serving ? _("are answered") : _("get no answer"), version: Version,
            images: BaseDirectory, tftp: TftpDirectory,
        });
        rooms.draw();
    };
    const count = () => {
        facts.set({ clients: counted(model.all("Client")) });
        rooms.draw();
    };
    view.watch(["Manager"], draw);
    view.watch(["Client"], count);
    draw();
    count();
    return card(_("Server"), { id: "server", actions: [apply, serve.node] }, facts.node, rooms.node);
}

/** How many clients of each room are on. */
function fieldsOfRooms(model) {
    const node = el("dl", { class: "fields rooms" });
    const keyed = new Keyed(node, room => room, room => {
        const value = el("dd");
        const update = () => say(value, counted(model.all("Client").filter(each => each.Rooms.includes(room))));
        update();
        return { node: el("div", {}, el("dt", {}, format(_("Room $0"), room)), value), update };
    });
    return {
        node,
        draw() {
            keyed.set(model.manager.Rooms);
            node.hidden = model.manager.Rooms.length === 0;
        },
    };
}

function links(model, view) {
    const shown = table({
        caption: _("What is answered on each network interface"),
        key: each => each.path,
        empty: _("There is no network interface."),
        columns: [
            { title: _("Interface"), head: true, text: each => each.Name },
            { title: _("Addresses"), text: each => each.Addresses.join(", ") || "–" },
            { title: _("State"), text: each => each.State },
            { title: _("This server"), text: each => roleOf(each.Dhcp) },
        ],
    });
    const draw = change => shown.set(model.all("Link"), change?.paths("Link") ?? null);
    view.watch(["Link"], draw);
    draw();
    return card(_("What is served where"), { id: "links" }, shown.node);
}

function images(model, view, rights) {
    const shown = table({
        caption: _("Images and what clients boot of them"),
        key: each => each.path,
        empty: _("There is neither an image nor a source of one."),
        columns: [
            { title: _("Image"), head: true, text: each => each.Name },
            {
                title: _("Clients boot"),
                text: each => each.Current ? `${each.Current} (${bytes(each.Size)})` : "–",
            },
            {
                title: _("State"),
                make: labelled(each => {
                    if (!each.Current)
                        return [_("Not built yet"), ""];
                    return each.StaleBecause ? [_("Source has changed"), "warning"] : [_("Up to date"), "good"];
                }),
            },
            {
                title: _("Build"),
                make: first => {
                    const build = button(_("Build"), async () => {
                        await model.call(first.path, "Image", "Build", "a{sv}", [{}]);
                    }, { kind: "secondary small", label: format(_("Build the image $0"), first.Name) });
                    const update = each => {
                        build.hidden = each.Job !== "/" || !each.Source;
                        unless(build, rights.build(each.path) ? "" : NOT_ALLOWED());
                    };
                    update(first);
                    return { node: build, update };
                },
            },
        ],
    });
    const draw = change => shown.set(model.all("Image"), change?.paths("Image") ?? null);
    view.watch(["Image"], draw);
    rights.ontold(() => draw());
    draw();
    return card(_("Images"), { id: "images" }, shown.node);
}

function work(model, view) {
    const shown = jobs.list(model);
    const box = card(_("Work"), { id: "jobs" }, shown.node);
    const draw = change => {
        const all = model.all("Job");
        const past = all.filter(jobs.ended).sort((one, other) => other.FinishedAt - one.FinishedAt).slice(0, ENDED);
        shown.set([...all.filter(each => !jobs.ended(each)), ...past], change?.paths("Job") ?? null);
        box.hidden = all.length === 0;
    };
    view.watch(["Job"], draw);
    view.onend(model.onfinished(path => {
        const job = model.at("Job", path);
        if (job)
            toast(...jobs.verdict(job));
    }));
    draw();
    return box;
}

/** Outputs that are not as they should be. */
function outputs(model, view) {
    const shown = table({
        caption: _("Files that are not as they should be"),
        key: each => each.path,
        columns: [
            { title: _("Output"), head: true, text: each => each.Name },
            { title: _("State"), make: labelled(each => [each.State, each.State === "failed" ? "bad" : "warning"]) },
            { title: _("Reason"), text: each => each.Message },
        ],
    });
    const box = card(_("Files and services"), { id: "outputs" }, shown.node);
    const draw = change => {
        const odd = model.all("Output").filter(each => !["in-sync", "disabled"].includes(each.State));
        shown.set(odd, change?.paths("Output") ?? null);
        box.hidden = odd.length === 0;
    };
    view.watch(["Output"], draw);
    draw();
    return box;
}

function show(root, model, view) {
    const rights = rightsOf(model, view);
    const only = el("p", { class: "faint", hidden: true }, ONLY_LOOK());
    rights.ontold(() => {
        only.hidden = rights.configure || model.all("Image").some(each => rights.build(each.path));
    });
    root.append(
        only, firstRun(model, view, rights), problems(model, view), server(model, view, rights), work(model, view),
        links(model, view), images(model, view, rights), outputs(model, view));
}

export const overview = { id: "", title: _("Overview"), show };
