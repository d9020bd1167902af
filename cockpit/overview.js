/** Overview: how the server is doing, and what needs a person. */

import { _, card, el, fields, Keyed, label } from "./ui.js";

/** Return the states of a server in words, with a kind of label. */
function stateOf(state) {
    return {
        starting: [_("Starting"), "busy"],
        "in-sync": [_("All is well"), "good"],
        applying: [_("Applying changes"), "busy"],
        attention: [_("Needs attention"), "warning"],
    }[state] ?? [state, ""];
}

function show(root, model, view) {
    const facts = fields([
        [_("State"), "state"], [_("Version"), "version"], [_("Images in"), "images"], [_("TFTP from"), "tftp"],
    ]);
    const list = el("ul", { class: "problems" });
    const problems = new Keyed(list, text => text, text => ({ node: el("li", {}, text), update() {} }));
    const troubles = card(_("Problems"), { id: "problems" }, list);
    root.append(troubles, card(_("Server"), { id: "server" }, facts.node));
    const draw = () => {
        const { State, Version, BaseDirectory, TftpDirectory, Problems } = model.manager;
        facts.set({
            state: label(...stateOf(State)), version: Version, images: BaseDirectory, tftp: TftpDirectory,
        });
        problems.set(Problems);
        troubles.hidden = Problems.length === 0;
    };
    view.watch(["Manager"], draw);
    draw();
}

export const overview = { id: "", title: _("Overview"), show };
