/** Orders to clients: what there is, what a person is asked before one is given, and giving it. */

import { option } from "./bus.js";
import { _, dialog, el, format, toast } from "./ui.js";

/**
 * The orders, in the order of their buttons.
 *
 * `off`: for a client that is off; `cuts`: it ends what people there are doing. `ask(who)` is the dialog's title and
 * its sentence.
 */
export const ORDERS = [
    {
        verb: "message",
        title: _("Message"),
        ask: who => [format(_("Message to $0"), who), _("All people who are logged in there will see it.")],
        does: _("Send"),
    },
    {
        verb: "logout",
        title: _("Log out"),
        cuts: true,
        ask: who => [format(_("Log people out at $0?"), who),
            _("Their sessions end with all their programs. What is not saved is lost.")],
        does: _("Log out"),
    },
    {
        verb: "reboot",
        title: _("Reboot"),
        cuts: true,
        ask: who => [format(_("Reboot $0?"), who), _("Sessions end there. What is not saved is lost.")],
        does: _("Reboot"),
    },
    {
        verb: "poweroff",
        title: _("Switch off"),
        cuts: true,
        ask: who => [format(_("Switch $0 off?"), who), _("Sessions end there. What is not saved is lost.")],
        does: _("Switch off"),
    },
    {
        verb: "wake",
        title: _("Switch on"),
        off: true,
        ask: who => [format(_("Switch $0 on?"), who),
            _("Machines whose cards listen for it (Wake on LAN) start within a minute or two.")],
        does: _("Switch on"),
    },
];

const OF_VERB = new Map(ORDERS.map(each => [each.verb, each]));

export function isOrder(job) {
    return OF_VERB.has(job.Kind);
}

function check(text, help = "") {
    const box = el("input", { type: "checkbox" });
    return { box, node: el("label", {}, box, text, help && el("span", { class: "faint" }, " ", help)) };
}

/**
 * Ask for what an order needs and give it: `give(options)` calls the daemon; what it throws is shown in the dialog.
 *
 * `many`: several clients are meant, so that they can begin one after the other.
 */
export async function ask(order, who, many, give) {
    const [title, sentence] = order.ask(who);
    const text = el("textarea", { rows: 3, maxlength: 1000, required: true });
    const user = el("input", { autocomplete: "off", spellcheck: "false" });
    const force = check(_("Also while a program there forbids it"), _("(such as an upgrade of packages)"));
    const stagger = el("input", { type: "number", min: 0, max: 3600, value: 0 });
    const parts = {
        message: [el("label", { class: "field" }, el("span", {}, _("Text")), text)],
        logout: [el("label", { class: "field" }, el("span", {}, _("Only this user (empty: everybody)")), user)],
        reboot: [force.node],
        poweroff: [force.node],
        wake: [],
    }[order.verb];
    if (many && order.verb !== "message" && order.verb !== "logout") {
        parts.push(el("label", { class: "field" },
                      el("span", {}, _("Seconds between one client and the next")), stagger));
    }
    const options = () => ({
        ...(order.verb === "message" ? { text: option("s", text.value) } : {}),
        ...(user.value.trim() ? { user: option("s", user.value.trim()) } : {}),
        ...(force.box.checked ? { force: option("b", true) } : {}),
        ...(Number(stagger.value) > 0 ? { stagger: option("u", Number(stagger.value)) } : {}),
    });
    const given = await dialog({
        title,
        body: el("div", { class: "form" }, el("p", {}, sentence), parts),
        buttons: [{
            text: order.does,
            kind: order.cuts ? "danger" : "primary",
            run: async () => {
                await give(options());
                return true;
            },
        }],
    });
    if (given)
        toast(format(_("$0: the order is given."), who), "info");
}
