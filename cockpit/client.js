/** One client: what is known of it, its boot beside its room's, what the doctor says, and what it can be told. */

import { draw, legs, medians, total } from "./boots.js";
import { JOBS, list as jobList } from "./jobs.js";
import { may, NOT_ALLOWED, ONLY_LOOK, unless } from "./may.js";
import { ask, ORDERS } from "./orders.js";
import { isOn, nameOf, reachedAt, stageLabel, stageTitle } from "./stages.js";
import {
    _, button, card, confirm, el, fields, fill, format, label, language, mark, ngettext, say, since, toast, when,
} from "./ui.js";

/** What a key counts for, as a label. */
function identity(word) {
    const [text, kind] = {
        none: [_("None reported"), ""],
        boot: [_("Counts until this boot ends"), "good"],
        kept: [_("Is its own"), "good"],
        pending: [_("Waits for approval"), "warning"],
        refused: [_("Refused: another one is known"), "bad"],
    }[word] ?? [word, ""];
    return label(text, kind);
}

function seconds(amount) {
    if (amount === null)
        return "–";
    const digits = amount < 10 ? 1 : 0;
    return format(_("$0 s"), amount.toLocaleString(language(), {
        minimumFractionDigits: digits, maximumFractionDigits: digits,
    }));
}

/** The card about the boot: a drawing, and the same as a table. */
function bootCard(model) {
    const drawn = el("div", { class: "boot" });
    const others = el("p", { class: "faint" });
    const rows = el("tbody");
    const shown = el("table", {},
                     el("caption", { class: "sr-only" }, _("How long each stage of the boot took")),
                     el("thead", {}, el("tr", {},
                                        el("th", { scope: "col" }, _("Stage")),
                                        el("th", { scope: "col" }, _("Came at")),
                                        el("th", { scope: "col", class: "numeric" }, _("Took until then")),
                                        el("th", { scope: "col", class: "numeric" }, _("Room's median")))),
                     rows);
    const nothing = el("p", { class: "empty" },
                       _("Nothing is known of its boot: it booted before ltspd was started, or not at all."));
    let before = "";
    const cell = (title, text) => el("td", { "data-label": title, class: "numeric" }, text);
    return {
        node: card(_("Boot"), { id: "boot" }, drawn, others, el("div", { class: "table" }, shown), nothing),
        update(of) {
            const peers = model.all("Client").filter(each => each.Room === of.Room && each.path !== of.path);
            const own = legs(of.Stages ?? {});
            const room = medians(own, peers.map(each => each.Stages ?? {}));
            const now = JSON.stringify([of.Stages, room, of.Room]);
            if (now === before)
                return;
            before = now;
            const known = Object.keys(of.Stages ?? {}).length > 0;
            nothing.hidden = known;
            shown.hidden = !known;
            drawn.hidden = own.length === 0;
            const compared = room.some(leg => leg.seconds !== null);
            const lines = [[format(_("$0: $1"), nameOf(of), seconds(total(own))), own]];
            if (compared)
                lines.push([format(_("Median of its room: $0"), seconds(total(room))), room]);
            fill(drawn, draw(lines, leg => format(_("$0: $1"), stageTitle(leg.to), seconds(leg.seconds))));
            const count = peers.filter(each => legs(each.Stages ?? {}).length > 0).length;
            say(others, compared
                ? format(ngettext("Compared with $0 other client.", "Compared with $0 other clients.", count), count)
                : _("No other client of its room has booted since ltspd was started."));
            others.hidden = !known;
            const took = new Map(own.map((leg, at) => [leg.to, [leg, room[at]]]));
            const stages = Object.keys(of.Stages ?? {}).sort((one, other) => of.Stages[one] - of.Stages[other]);
            fill(rows, stages.map(stage => {
                const [leg, usual] = took.get(stage) ?? [{ seconds: null }, { seconds: null }];
                const slow = leg.seconds !== null && usual.seconds !== null &&
                    leg.seconds > 2 * usual.seconds && leg.seconds - usual.seconds > 2;
                return el("tr", {},
                          el("th", { scope: "row", "data-label": _("Stage") },
                             el("span", { class: `swatch to-${stage}`, "aria-hidden": "true" }), stageTitle(stage)),
                          el("td", { "data-label": _("Came at") }, when(of.Stages[stage])),
                          el("td", { "data-label": _("Took until then"), class: "numeric" }, seconds(leg.seconds),
                             slow ? [" ", label(_("slow"), "warning")] : null),
                          cell(_("Room's median"), seconds(usual.seconds)));
            }));
        },
    };
}

function severity(word) {
    return { error: [_("Error"), "bad"], warning: [_("Warning"), "warning"] }[word] ?? [_("Seen"), ""];
}

/** The card of the doctor, who is asked again when the client has come farther. */
function doctorCard(model, mac) {
    const found = el("ul", { class: "findings plain" });
    let asked = 0;
    const look = async () => {
        const turn = ++asked;
        const [findings] = await model.manage("Diagnose", "s", [mac]);
        if (turn !== asked)
            return;
        fill(found, findings.map(each => el(
            "li", {}, el("div", {}, label(...severity(each.Severity))), el("p", {}, each.Cause),
            each.Step ? el("p", { class: "step" }, each.Step) : null)));
    };
    const again = button(_("Look again"), look);
    return { node: card(_("What the doctor says"), { actions: [again], id: "doctor" }, found), look };
}

/** Draw one client; `mac` comes from the address. */
export function client(root, model, view, mac) {
    const path = model.all("Client").find(each => each.Mac === mac.toLowerCase())?.path;
    const back = el("a", { href: "#/clients" }, _("All clients"));
    const gone = el("p", { class: "empty" }, _("No such client is known (any more)."));
    root.append(el("p", { class: "back" }, back));
    if (!path) {
        root.append(gone);
        return;
    }
    const get = () => model.at("Client", path);
    const heading = el("h2", { class: "client-name" });
    const stage = el("span", { "aria-live": "polite" });
    const moment = since(0);
    const trouble = el("p", { class: "trouble" });
    const only = el("p", { class: "faint", hidden: true }, ONLY_LOOK());
    const orders = jobList(model);
    const result = el("p");
    const facts = fields([
        [_("Address"), "address"], [_("MAC address"), "mac"], [_("Rooms"), "rooms"],
        [_("Image"), "image"], [_("Generation"), "generation"], [_("Root by"), "transport"],
        [_("Last seen"), "seen"], [_("Key"), "identity"], [_("Fingerprint"), "key"],
        [_("Interface of the server"), "link"], [_("Lease until"), "lease"], [_("Boot program"), "way"],
        [_("Failed boots in a row"), "failed"], [_("Network card"), "card"], [_("Drivers in its initrd"), "initrd"],
        [_("Count at its next boot"), "pending"],
    ]);
    const seen = since(0);
    const image = el("a");
    const key = el("span");
    facts.set({ seen: seen.node, image, identity: key });
    const buttons = ORDERS.map(each => button(each.title, () => ask(
        each, nameOf(get()), false,
        options => model.call(path, "Client", "Order", "sa{sv}", [each.verb, options]))));
    const approve = button(_("Approve its key"), () => confirm({
        title: format(_("Approve the key of $0?"), nameOf(get())),
        text: format(_("Compare it with the one that the client itself shows: $0"), get().Key),
        action: _("Approve"),
        run: () => model.call(path, "Client", "Approve", "s", [get().Key]),
    }));
    const forget = button(_("Forget its key"), () => confirm({
        title: format(_("Forget the key of $0?"), nameOf(get())),
        text: _("It opens no account until it reports a key again, at its next boot at the latest. " +
                "The boot program that was found for it is forgotten, too."),
        action: _("Forget"),
        danger: true,
        run: async () => {
            await model.call(path, "Client", "Forget");
            toast(format(_("The key of $0 is forgotten."), nameOf(get())));
        },
    }));
    let allowed = [...ORDERS, "", ""].map(() => false);
    let permitted = "";
    /** Ask what this person may do with this client; its room may be what a rule goes by. */
    const permit = async () => {
        const of = get();
        permitted = `${of.Rooms.join(" ")} ${of.Hostname} ${of.Key}`;
        const found = await may(model, [
            ...ORDERS.map(each => [path, "Order", [["s", each.verb], ["a{sv}", {}]]]),
            [path, "Approve", [["s", of.Key]]],
            [path, "Forget", []],
        ]);
        allowed = found;
        only.hidden = found.some(each => each);
        if (get())
            able(get());
    };
    const able = of => {
        ORDERS.forEach((each, at) => unless(
            buttons[at],
            !allowed[at] ? NOT_ALLOWED() : !each.off && !isOn(of) ? _("It is off, or not up yet.") : ""));
        unless(approve, allowed[ORDERS.length] ? "" : NOT_ALLOWED());
        unless(forget, allowed[ORDERS.length + 1] ? "" : NOT_ALLOWED());
        approve.hidden = !["pending", "refused"].includes(of.Identity);
        forget.hidden = of.Identity === "none" && !of.FailedBoots;
    };
    const boot = bootCard(model);
    const doctor = doctorCard(model, mac);
    let diagnosed = "";
    let shown = "";
    const update = () => {
        const of = get();
        say(heading, nameOf(of));
        if (shown !== of.Stage) {
            shown = of.Stage;
            fill(stage, stageLabel(of.Stage));
        }
        moment.update(reachedAt(of));
        seen.update(of.LastSeen);
        say(trouble, of.Error);
        trouble.hidden = !of.Error;
        facts.set({
            address: of.Address || "–",
            mac: of.Mac,
            rooms: of.Rooms.join(", ") || "–",
            generation: of.Generation || "–",
            transport: of.Transport || "–",
            key: of.Key || "–",
            link: of.Link || "–",
            lease: of.LeaseExpires ? when(of.LeaseExpires) : "–",
            way: of.BootWay || "–",
            failed: of.FailedBoots,
            card: of.Card || "–",
            initrd: of.Initrd || "–",
            pending: of.Pending.join(", ") || _("Nothing"),
        });
        say(image, of.Image || "–");
        mark(image, "href", of.Image ? `#/images/${of.Image}` : null);
        if (key.dataset.word !== of.Identity) {
            key.dataset.word = of.Identity;
            fill(key, identity(of.Identity));
        }
        able(of);
        if (permitted !== `${of.Rooms.join(" ")} ${of.Hostname} ${of.Key}`)
            permit();
        boot.update(of);
        const state = `${of.Stage} ${of.Error} ${of.FailedBoots}`;
        if (diagnosed !== state) {
            diagnosed = state;
            doctor.look().catch(error => console.warn(error.message));
        }
    };
    /** Show the last order to this client: a bar while it runs, and what came of it. */
    const follow = () => {
        const { Order, Result } = get();
        const job = Order ? model.at("Job", JOBS + Order) : undefined;
        orders.set(job ? [job] : []);
        orders.node.hidden = !job;
        say(result, Result && Result !== "ok" ? format(_("It did not obey its last order: $0"), Result) : "");
        result.hidden = result.textContent === "" || job !== undefined;
    };
    root.append(
        el("section", { class: "card", "aria-label": _("Client") },
           el("header", {}, el("div", { class: "tools" }, heading, stage, moment.node),
              el("div", { class: "actions" }, buttons, approve, forget)),
           el("div", { class: "body" }, trouble, only, orders.node, result, facts.node)),
        boot.node, doctor.node);
    view.watch(["Client", "Job"], change => {
        if (!get()) {
            fill(root, back, gone);
            view.end();
            return;
        }
        // The room's median is made of the others.
        if (change.paths("Client").has(path) || change.whole.has("Client"))
            update();
        else if (change.has("Client"))
            boot.update(get());
        follow();
    });
    update();
    follow();
}
