/** The page: tabs, the banner of a daemon that is away, and the view of the tab that is open. */

/* global cockpit */

import { Model } from "./bus.js";
import { PAGES } from "./pages.js";
import { _, alert, el, fill, followStyle, format, say } from "./ui.js";

/**
 * What a page gets besides the model: it lives as long as its tab is open at one place.
 *
 * `place` are the parts of the address behind the page's own: of #/clients/52:54:00:00:00:01 the MAC address.
 */
class View {
    constructor(model, place) {
        Object.assign(this, { model, place });
        this.ends = [];
    }

    /** As Model.watch, until the view ends. */
    watch(nouns, tell) {
        this.ends.push(this.model.watch(nouns, tell));
    }

    /** Have something done when the view ends. */
    onend(run) {
        this.ends.push(run);
    }

    end() {
        this.ends.forEach(run => run());
    }
}

function main() {
    followStyle();
    document.documentElement.lang = cockpit.language || "en";
    document.title = _("Network boot");
    const model = new Model();
    const away = el("div", { class: "banner", "aria-live": "polite" });
    const tabs = new Map(PAGES.map(page => [
        page.id, el("a", { href: page.id ? `#/${page.id}` : "#/" }, page.title),
    ]));
    const main = el("main", { id: "view", tabindex: -1 }, el("p", { class: "empty" }, _("Loading…")));
    fill(document.getElementById("page"),
         el("nav", { class: "tabs", "aria-label": _("Pages of the network boot server") },
            el("ul", {}, [...tabs.values()].map(tab => el("li", {}, tab)))),
         away, main);
    let view = null;

    const show = () => {
        const [id = "", ...place] = cockpit.location.path;
        const page = PAGES.find(each => each.id === id) ?? PAGES[0];
        tabs.forEach((tab, of) => of === page.id
            ? tab.setAttribute("aria-current", "page")
            : tab.removeAttribute("aria-current"));
        if (model.presence === "loading" || (view === null && model.presence === "away"))
            return;
        view?.end();
        view = new View(model, place);
        const root = el("div", { class: `view ${page.id || "overview"}` });
        page.show(root, model, view);
        fill(main, el("h1", { class: "sr-only" }, page.title), root);
        // Tests measure the time until here.
        window.performance.mark("view");
    };

    const tell = () => {
        document.body.classList.toggle("away", model.presence === "away");
        if (model.presence === "away") {
            const reason = model.reason ? format(_("The connection says: $0"), model.reason) : "";
            fill(away, alert("warning", _("The daemon is away"),
                             _("ltspd has left the system bus. This page comes back by itself when it does."),
                             " ", reason));
            if (view === null)
                say(main.firstChild, "");
        } else {
            fill(away);
        }
        // All is new after it was away: a view that is drawn from the start can't show anything old.
        if (model.presence === "here")
            show();
    };

    cockpit.addEventListener("locationchanged", show);
    model.watch(["Presence"], tell);
    // Whoever gains or gives back administrative access has another connection from then on.
    const superuser = cockpit.dbus(null, { bus: "internal" }).proxy("cockpit.Superuser", "/superuser");
    let current;
    superuser.addEventListener("changed", () => {
        if (current !== undefined && superuser.Current !== current && superuser.Current !== "init")
            window.location.reload();
        if (superuser.Current !== "init")
            current = superuser.Current;
    });
    show();
}

main();
