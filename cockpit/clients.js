/** Clients: all machines by room, live, with filters; orders to a room. One of them is client.js. */

import { client } from "./client.js";
import { ended, JOBS, list as jobList } from "./jobs.js";
import { may, NOT_ALLOWED, ONLY_LOOK, unless } from "./may.js";
import { ask, isOrder, ORDERS } from "./orders.js";
import { isFailing, nameOf, reachedAt, STAGES, stageLabel } from "./stages.js";
import { _, button, card, el, format, Keyed, ngettext, say, since } from "./ui.js";

const BY_NAME = new Intl.Collator(undefined, { numeric: true, sensitivity: "base" });
/** Rooms whose orders are asked for in one question; five orders each. */
const ROOMS_MOST = 20;

/** What is filtered by; it stays while one client is looked at. */
const filter = { text: "", room: "*", stage: "", troubled: false };

/** A client as a row of the table: `{ node, update(client) }`. */
function row(model, first) {
    const link = el("a", { href: `#/clients/${first.Mac}` });
    const stage = el("div", { class: "stack" });
    const moment = since(0);
    const image = el("span");
    const generation = el("span", { class: "faint" });
    const address = el("span");
    const mac = el("span", { class: "faint mono" }, first.Mac);
    const result = el("span");
    const error = el("p", { class: "trouble" });
    let shown = "";
    const node = el("tr", {},
                    el("th", { scope: "row", "data-label": _("Client") }, link),
                    el("td", { "data-label": _("Stage") }, stage),
                    el("td", { "data-label": _("Since") }, moment.node),
                    el("td", { "data-label": _("Image") }, el("div", { class: "stack" }, image, generation)),
                    el("td", { "data-label": _("Address") }, el("div", { class: "stack" }, address, mac)),
                    el("td", { "data-label": _("Last order") }, result));
    const update = now => {
        say(link, nameOf(now));
        if (shown !== now.Stage) {
            shown = now.Stage;
            stage.replaceChildren(stageLabel(now.Stage), error);
        }
        say(error, now.Error || identityTrouble(now));
        error.hidden = error.textContent === "";
        moment.update(reachedAt(now));
        say(image, now.Image || "–");
        say(generation, now.Generation);
        say(address, now.Address);
        say(result, resultOf(model, now));
    };
    update(first);
    return { node, update };
}

/** Return what came of the last order to a client, in words; empty if there was none. */
function resultOf(model, of) {
    if (!of.Order)
        return "–";
    if (of.Result)
        return of.Result === "ok" ? _("Obeyed") : of.Result;
    const job = model.at("Job", JOBS + of.Order);
    return job && !ended(job) ? _("Waits for its answer") : _("Has not answered");
}

function identityTrouble(of) {
    return {
        pending: _("Its key waits for approval."),
        refused: _("Another key is known as its own."),
    }[of.Identity] ?? "";
}

function isTroubled(of) {
    return isFailing(of) || identityTrouble(of) !== "";
}

function fits(of) {
    const words = `${of.Hostname} ${of.Mac} ${of.Address} ${of.Image} ${of.Generation} ${of.Error}`.toLowerCase();
    return filter.text.toLowerCase().split(/\s+/)
            .every(word => words.includes(word)) &&
        (filter.room === "*" || of.Room === filter.room) &&
        (!filter.stage || of.Stage === filter.stage) &&
        (!filter.troubled || isTroubled(of));
}

/** A room: a head with its orders, and its clients as rows. */
function roomPart(model, first) {
    const title = first.name ? format(_("Room $0"), first.name) : _("In no room");
    const count = el("span", { class: "faint" });
    const buttons = first.name
        ? ORDERS.map(order => button(order.title, () => ask(
            order, format(_("room $0"), first.name), true,
            options => model.manage("OrderClients", "sasa{sv}", [order.verb, [`room:${first.name}`], options])),
                                     { label: format(_("$0: $1"), order.title, title) }))
        : [];
    buttons.forEach(each => each.classList.add("small"));
    const node = el("tbody", { "data-room": first.name },
                    el("tr", { class: "room" }, el("th", { scope: "rowgroup", colspan: 6 },
                                                   el("div", { class: "room-head" },
                                                      el("span", {}, title, " ", count),
                                                      el("span", { class: "actions" }, buttons)))));
    const head = node.firstChild;
    // The rows stand behind the head, which is none of them.
    const behind = {
        get firstChild() {
            return head.nextSibling;
        },
        insertBefore: (made, next) => node.insertBefore(made, next),
    };
    const rows = new Keyed(behind, each => each.path, of => row(model, of));
    rows.set(first.clients);
    return {
        node,
        set: (clients, touched) => rows.set(clients, touched),
        touch: of => rows.touch(of),
        row: path => rows.known.get(path)?.node,
        allow: allowed => buttons.forEach((each, at) => unless(each, allowed[at] ? "" : NOT_ALLOWED())),
        count: (all, shown) => {
            say(count, all === shown
                ? format(ngettext("$0 client", "$0 clients", all), all)
                : format(_("$0 of $1 clients"), shown, all));
            node.hidden = shown === 0;
        },
    };
}

function choice(title, values, value, change) {
    const node = el("select", { on: { change: () => change(node.value) } },
                    values.map(([of, text]) => el("option", { value: of, selected: of === value }, text)));
    return { node, field: el("label", { class: "field" }, el("span", {}, title), node) };
}

function list(root, model, view) {
    const parts = new Map();
    const places = new Map();
    const body = el("table", {},
                    el("caption", { class: "sr-only" }, _("Clients by room")),
                    el("thead", {}, el("tr", {}, [
                        _("Client"), _("Stage"), _("Since"), _("Image"), _("Address"), _("Last order"),
                    ].map(text => el("th", { scope: "col" }, text)))));
    const nothing = el("p", { class: "empty" });
    const total = el("p", { class: "faint" });
    // Only what a person filters is read out: while a school boots, the counts change all the time.
    const heard = el("p", { class: "sr-only", role: "status" });
    const only = el("p", { class: "faint", hidden: true }, ONLY_LOOK());

    const text = el("input", { type: "search", value: filter.text, autocomplete: "off" });
    const rooms = choice(_("Room"), [["*", _("All rooms")]], filter.room, value => refilter({ room: value }));
    const stages = choice(_("Stage"), [["", _("All stages")], ...STAGES.map(each => [each.stage, each.title])],
                          filter.stage, value => refilter({ stage: value }));
    const troubled = el("input", { type: "checkbox", checked: filter.troubled });
    text.addEventListener("input", () => refilter({ text: text.value }));
    troubled.addEventListener("change", () => refilter({ troubled: troubled.checked }));

    // Orders that had ended before are history; those that end now are news.
    const orders = jobList(model);
    const old = new Set(model.all("Job").filter(ended)
            .map(job => job.path));

    /** Show or hide rows by the filter, all or those of some paths, and count. */
    const sift = paths => {
        const all = model.all("Client");
        const counts = new Map();
        let shown = 0;
        for (const of of all) {
            const node = parts.get(of.Room)?.row(of.path);
            if (!node)
                continue;
            if (paths === null || paths.has(of.path))
                node.hidden = !fits(of);
            const count = counts.get(of.Room) ?? [0, 0];
            count[0] += 1;
            count[1] += node.hidden ? 0 : 1;
            shown += node.hidden ? 0 : 1;
            counts.set(of.Room, count);
        }
        parts.forEach((part, name) => part.count(...(counts.get(name) ?? [0, 0])));
        const ready = all.filter(of => of.Stage === "login").length;
        const wrong = all.filter(isTroubled).length;
        say(total, [
            shown === all.length
                ? format(ngettext("$0 client", "$0 clients", shown), shown)
                : format(_("$0 of $1 clients"), shown, all.length),
            format(_("$0 ready"), ready),
            ...(wrong ? [format(ngettext("$0 with a problem", "$0 with problems", wrong), wrong)] : []),
        ].join(" · "));
        say(nothing, all.length ? _("No client fits these filters.") : _("No client has reported yet."));
        nothing.hidden = shown > 0;
        body.hidden = shown === 0;
    };
    const refilter = changed => {
        Object.assign(filter, changed);
        sift(null);
        say(heard, total.textContent);
    };

    /** Put every client into its room, in the order of names. */
    const arrange = touched => {
        const groups = new Map([...(model.manager.Rooms ?? []), ""].map(name => [name, []]));
        for (const of of model.all("Client")) {
            if (!groups.has(of.Room))
                groups.set(of.Room, []);
            groups.get(of.Room).push(of);
        }
        places.clear();
        let next = body.tHead.nextSibling;
        for (const [name, clients] of groups) {
            clients.sort((one, other) => BY_NAME.compare(nameOf(one), nameOf(other)));
            clients.forEach(of => places.set(of.path, placeOf(of)));
            if (parts.has(name))
                parts.get(name).set(clients, touched);
            else
                parts.set(name, roomPart(model, { name, clients }));
            // What has its place already stays, and the focus with it.
            const { node } = parts.get(name);
            if (node === next)
                next = next.nextSibling;
            else
                body.insertBefore(node, next);
        }
        for (const name of [...parts.keys()].filter(each => !groups.has(each))) {
            parts.get(name).node.remove();
            parts.delete(name);
        }
        const names = [...groups.keys()];
        const known = [...rooms.node.options].slice(1).map(each => each.value);
        if (names.join("\n") !== known.join("\n")) {
            [...rooms.node.options].slice(1).forEach(each => each.remove());
            rooms.node.append(...names.map(name => el("option", { value: name }, name || _("In no room"))));
            rooms.node.value = names.includes(filter.room) ? filter.room : "*";
            filter.room = rooms.node.value;
            permit(names.filter(name => name));
        }
    };
    const placeOf = of => `${of.Room}\n${nameOf(of)}`;

    /** Ask which orders this person may give to which room. */
    const permit = async names => {
        const asked = names.slice(0, ROOMS_MOST);
        const found = await may(model, asked.flatMap(name => ORDERS.map(order => [
            model.manager.path, "OrderClients", [["s", order.verb], ["as", [`room:${name}`]], ["a{sv}", {}]],
        ])));
        asked.forEach((name, at) => parts.get(name)?.allow(
            found.slice(at * ORDERS.length, (at + 1) * ORDERS.length)));
        only.hidden = asked.length === 0 || found.some(each => each);
    };

    const follow = touched => {
        const found = model.all("Job").filter(job => isOrder(job) && !old.has(job.path));
        orders.set(found, touched);
        orders.node.hidden = found.length === 0;
        // Who has not answered until an order ends won't any more.
        const over = new Set(found.filter(job => ended(job) && touched?.has(job.path)).map(job => job.Id));
        model.all("Client").filter(of => over.has(of.Order))
                .forEach(of => parts.get(of.Room)?.touch(of));
    };

    root.append(card(_("Clients"), {},
                     el("div", { class: "tools", role: "search", "aria-label": _("Filters") },
                        el("label", { class: "field" }, el("span", {}, _("Search")), text),
                        rooms.field, stages.field,
                        el("label", {}, troubled, _("Only with problems"))),
                     total, heard, only, orders.node, el("div", { class: "table" }, body), nothing));
    view.watch(["Client", "Manager", "Job"], change => {
        if (change.has("Job"))
            follow(change.paths("Job"));
        if (change.has("Manager"))
            arrange(new Set());
        const paths = change.paths("Client");
        if (change.whole.has("Client") ||
                [...paths].some(path => places.get(path) !== placeOf(model.at("Client", path)))) {
            arrange(paths);
            sift(null);
        } else if (change.has("Client")) {
            for (const path of paths) {
                const of = model.at("Client", path);
                parts.get(of.Room)?.touch(of);
            }
            sift(paths);
        }
    });
    arrange(null);
    sift(null);
    follow(null);
}

function show(root, model, view) {
    if (view.place.length > 0)
        client(root, model, view, view.place[0]);
    else
        list(root, model, view);
}

export const clients = { id: "clients", title: _("Clients"), show };
