/** The first steps, from a fresh installation to the first machine: what `ltspctl setup` does. */

import * as jobs from "./jobs.js";
import { NOT_ALLOWED, unless } from "./may.js";
import { PAGES } from "./pages.js";
import { _, button, card, confirm, el, fill, format, label, toast } from "./ui.js";

/** Return the sources that an image can be made of first: chroots before the server's own root. */
function sources(images) {
    const found = images.filter(each => each.Source);
    const chroots = found.filter(each => each.Source !== "/");
    return [...chroots, ...found.filter(each => each.Source === "/")];
}

/** What an earlier LTSP left, and moving it aside. */
function leftovers(model, rights) {
    const moves = model.manager.Remains.filter(each => each.Moves);
    const list = el("ul", {}, model.manager.Remains.map(each => el(
        "li", {}, el("span", { class: "mono" }, each.Path), `: ${each.Effect}`,
        each.Moves ? "" : `; ${each.Step}`)));
    const take = button(_("Take over from LTSP"), () => confirm({
        title: _("Take over from LTSP?"),
        text: format(_("To be moved aside: $0. Machines that LTSP booted and that still run may lose their roots " +
            "then: switch them off first."), moves.map(each => each.Path).join(", ")),
        action: _("Take over"),
        run: async () => {
            const [moved] = await model.manage("TakeOver");
            toast(format(_("Moved aside: $0"), moved.join(", ")));
        },
    }));
    const undo = button(_("Put it back"), async () => {
        const [restored] = await model.manage("GiveBack");
        toast(format(_("Put back: $0"), restored.join(", ")));
    });
    const aside = model.manager.SetAside;
    [take, undo].forEach(each => unless(each, rights.configure ? "" : NOT_ALLOWED()));
    return [
        model.manager.Remains.length ? list : null,
        aside.length ? el("p", {}, format(_("Moved aside: $0"), aside.join(", "))) : null,
        el("div", { class: "actions" }, moves.length ? take : null, aside.length ? undo : null),
    ];
}

/** Which image is to be the first. */
function choices(model, running, rights) {
    const found = sources(model.all("Image"));
    if (running)
        return el("p", {}, format(_("$0: see Work below."), jobs.title(running)));
    if (found.length === 0)
        return el("p", {}, _("Install a system into /srv/ltsp/NAME first."));
    return [
        el("p", {}, found.length === 1
            ? _("There is one source to make it of.")
            : _("There are several sources. A chroot was made to be booted; / is this server itself.")),
        el("div", { class: "actions" }, found.map((each, number) => {
            const build = button(format(_("Build $0 from $1"), each.Name, each.Source),
                                 () => model.call(each.path, "Image", "Build", "a{sv}", [{}]),
                                 { kind: number === 0 ? "primary" : "secondary" });
            unless(build, rights.build(each.path) ? "" : NOT_ALLOWED());
            return build;
        })),
    ];
}

/** Return where machines are answered, or what to do where they are not. */
function answers(manager, served) {
    if (!manager.Serving)
        return _("Somebody has switched answers off: see Server below.");
    if (served.length === 0)
        return _("Machines are answered nowhere. DHCP_LINKS= in [server] of /etc/ltsp/ltsp.conf chooses.");
    return format(_("Machines are answered at $0."), served.map(each => each.Name).join(", "));
}

/** Return the card; it is hidden once a machine has booted. */
export function firstRun(model, view, rights) {
    const steps = el("ol", { class: "steps" });
    const box = card(_("First steps"), { id: "first" }, steps);
    let shown = "";
    const draw = () => {
        const images = model.all("Image"), clients = model.all("Client"), manager = model.manager;
        const served = model.all("Link").filter(each => !["off", "foreign"].includes(each.Dhcp));
        const built = images.filter(each => each.Current).map(each => each.Name);
        const running = model.all("Job").find(each => each.Kind === "build" && !jobs.ended(each));
        const moves = manager.Remains.some(each => each.Moves);
        box.hidden = built.length > 0 && served.length > 0 && clients.length > 0 && !moves;
        // Buttons keep the focus as long as nothing of this changes.
        const state = JSON.stringify([served.map(each => each.Name), built, running?.path, manager.Remains,
                                      manager.SetAside, manager.Serving, rights.configure,
                                      images.map(each => [each.Name, each.Source, rights.build(each.path)])]);
        if (box.hidden || state === shown)
            return;
        shown = state;
        const step = (title, done, ...body) => el(
            "li", { class: done ? "done" : "open" },
            el("div", { class: "line" }, el("strong", {}, title),
               done ? label(_("Done"), "good") : label(_("To do"), "busy")), body);
        const network = PAGES.some(each => each.id === "network");
        fill(steps,
             step(_("A network on which machines are answered"), served.length > 0 && manager.Serving,
                  el("p", {}, answers(manager, served)),
                  network ? el("p", {}, el("a", { href: "#/network" }, _("Set the network up"))) : null),
             manager.Remains.length || manager.SetAside.length
                 ? step(_("What an earlier LTSP left"), !moves, leftovers(model, rights))
                 : null,
             step(_("An image for clients"), built.length > 0, built.length
                 ? el("p", {}, format(_("Clients get $0."), built.join(", ")))
                 : choices(model, running, rights)),
             step(_("The first machine"), clients.length > 0, el("p", {}, built.length && served.length
                 ? format(_("Switch on a machine that boots from the network at $0."),
                          served.map(each => each.Name).join(", "))
                 : _("When the steps above are done, switch on a machine that boots from the network."))));
    };
    view.watch(["Manager", "Image", "Link", "Client", "Job"], draw);
    rights.ontold(draw);
    draw();
    return box;
}
