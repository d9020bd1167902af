/**
 * The pieces that pages are made of.
 *
 * What comes from elsewhere (clients' words above all) is shown as text only: nothing here reads HTML.
 */

/* global cockpit */

export const _ = cockpit.gettext;
export const ngettext = cockpit.ngettext;
export const format = cockpit.format;

const SVG = "http://www.w3.org/2000/svg";

/**
 * Make an element: `el("button", { class: "button", on: { click: run } }, _("Build"))`.
 *
 * Children are nodes, texts, lists of them, or null for nothing. Attributes that are false or null are left out.
 *
 * @returns {HTMLElement}
 */
export function el(tag, attributes = {}, ...children) {
    return dress(document.createElement(tag), attributes, children);
}

/** As `el`, for drawings: `svg("rect", { x: 0, width: 10 })`. @returns {SVGElement} */
export function svg(tag, attributes = {}, ...children) {
    return dress(document.createElementNS(SVG, tag), attributes, children);
}

function dress(node, attributes, children) {
    for (const [name, value] of Object.entries(attributes)) {
        if (name === "on")
            Object.entries(value).forEach(([event, run]) => node.addEventListener(event, run));
        else if (value !== false && value !== null && value !== undefined)
            node.setAttribute(name, value === true ? "" : String(value));
    }
    put(node, ...children);
    return node;
}

function put(node, ...children) {
    for (const child of children.flat(Infinity)) {
        if (child !== null && child !== undefined && child !== false)
            node.append(child);
    }
}

/** Let a node have these children and no others. */
export function fill(node, ...children) {
    node.replaceChildren();
    put(node, ...children);
}

/** Set a node's text if it differs, so that readers of screens hear only news. */
export function say(node, text) {
    if (node.textContent !== text)
        node.textContent = text;
}

/** Set or remove an attribute if that differs. */
export function mark(node, name, value) {
    if (value === false || value === null || value === undefined)
        node.removeAttribute(name);
    else if (node.getAttribute(name) !== String(value))
        node.setAttribute(name, String(value));
}

/**
 * Keep the children of `parent` in step with a list, by key: a node is made once, moved, updated, and removed.
 *
 * `make(item)` returns `{ node, update(item) }`; `update` is called with each later state of the item.
 */
export class Keyed {
    constructor(parent, key, make) {
        Object.assign(this, { parent, key, make });
        this.known = new Map();
    }

    /** Show these items, in this order; `touched` names the keys that have changed (default: all). */
    set(items, touched = null) {
        const before = this.known;
        this.known = new Map();
        let next = this.parent.firstChild;
        for (const item of items) {
            const key = this.key(item);
            let piece = before.get(key);
            before.delete(key);
            if (!piece)
                piece = this.make(item);
            else if (touched === null || touched.has(key))
                piece.update(item);
            this.known.set(key, piece);
            if (piece.node === next)
                next = next.nextSibling;
            else
                this.parent.insertBefore(piece.node, next);
        }
        before.forEach(piece => piece.node.remove());
    }

    /** Show a new state of one item that is shown already. */
    touch(item) {
        this.known.get(this.key(item))?.update(item);
    }
}

/**
 * A table. Columns are `{ title, text(item) }`, or `{ title, make(item) }` that returns `{ node, update(item) }`;
 * with `numeric` its cells are aligned at their ends, with `head` they name the row.
 *
 * @returns {{ node: HTMLElement, set: Function, touch: Function }} `set(items, touched)` and `touch(item)` as Keyed's.
 */
export function table({ caption, columns, key, empty = "" }) {
    const body = el("tbody");
    const rows = new Keyed(body, key, first => {
        const updates = [];
        const cells = columns.map(column => {
            const piece = column.make ? column.make(first) : null;
            const cell = el(column.head ? "th" : "td", {
                "data-label": column.title, scope: column.head ? "row" : null, class: column.numeric ? "numeric" : null,
            }, piece ? piece.node : column.text(first));
            updates.push(piece ? item => piece.update(item) : item => say(cell, column.text(item)));
            return cell;
        });
        return { node: el("tr", {}, cells), update: item => updates.forEach(update => update(item)) };
    });
    const nothing = el("p", { class: "empty", hidden: true }, empty);
    const shown = el("table", {},
                     el("caption", { class: "sr-only" }, caption),
                     el("thead", {}, el("tr", {}, columns.map(
                         each => el("th", { scope: "col", class: each.numeric ? "numeric" : null }, each.title)))),
                     body);
    return {
        node: el("div", { class: "table" }, shown, nothing),
        set(items, touched = null) {
            rows.set(items, touched);
            shown.hidden = items.length === 0 && empty !== "";
            nothing.hidden = !shown.hidden;
        },
        touch: item => rows.touch(item),
    };
}

/** A list of names and values: `fields([[_("State"), "state"], …])`; `set({ state: "in-sync" })` shows them. */
export function fields(pairs) {
    const values = new Map(pairs.map(([, name]) => [name, el("dd")]));
    return {
        node: el("dl", { class: "fields" },
                 pairs.map(([title, name]) => el("div", {}, el("dt", {}, title), values.get(name)))),
        set(found) {
            for (const [name, value] of Object.entries(found)) {
                if (value instanceof Node)
                    fill(values.get(name), value);
                else
                    say(values.get(name), String(value));
            }
        },
    };
}

/** A card with a heading; `actions` are buttons beside it. */
export function card(title, { actions = [], id = null } = {}, ...children) {
    return el("section", { class: "card", id, "aria-label": title },
              el("header", {}, el("h2", {}, title), el("div", { class: "actions" }, actions)),
              el("div", { class: "body" }, children));
}

/** A bar of 0 to 1: `set(share, words)`; the words stand below it. */
export function progress(label) {
    const fillings = el("div", { class: "filling" });
    const words = el("span", { class: "words" });
    const bar = el("div", {
        class: "bar", role: "progressbar", "aria-label": label, "aria-valuemin": 0, "aria-valuemax": 100,
    }, fillings);
    return {
        node: el("div", { class: "progress" }, bar, words),
        set(share, text) {
            const percent = Math.round(Math.max(0, Math.min(1, share)) * 100);
            fillings.style.inlineSize = `${percent}%`;
            mark(bar, "aria-valuenow", percent);
            mark(bar, "aria-valuetext", text);
            say(words, text);
        },
    };
}

/** A word with a colour: kind is "good", "bad", "warning", "busy" or "" for none. */
export function label(text, kind = "") {
    return el("span", { class: `label ${kind}` }, text);
}

/** A label that follows what it is of: `labelled(item => [text, kind])(first)` is `{ node, update(item) }`, as cells are. */
export function labelled(state) {
    return first => {
        const node = el("span");
        const update = item => {
            const [text, kind] = state(item);
            say(node, text);
            mark(node, "class", `label ${kind}`);
        };
        update(first);
        return { node, update };
    };
}

/** A box with a message; kind is "info", "warning", "danger" or "success". */
export function alert(kind, title, ...children) {
    return el("div", { class: `alert ${kind}`, role: kind === "danger" ? "alert" : null },
              el("strong", {}, title), el("div", {}, children));
}

/**
 * A button that runs something. It can't be pressed again until that has ended; an error is shown as a toast.
 *
 * Kind is "primary", "secondary", "danger" or "link".
 */
export function button(text, run, { kind = "secondary", title = null, label: spoken = null } = {}) {
    const node = el("button", { type: "button", class: `button ${kind}`, title, "aria-label": spoken }, text);
    node.addEventListener("click", async () => {
        if (node.getAttribute("aria-disabled") === "true")
            return;
        // Disabled ones lose the focus, which a person at a keyboard would have to look for.
        node.setAttribute("aria-disabled", "true");
        try {
            await run(node);
        } catch (error) {
            failed(error);
        } finally {
            // What was found against it meanwhile stays (may.js, unless).
            mark(node, "aria-disabled", node.dataset.why ? "true" : null);
        }
    });
    return node;
}

const toasts = el("div", { class: "toasts", role: "status", "aria-live": "polite" });

/** Show a message for some seconds; an error ("danger") stays until it is closed. */
export function toast(text, kind = "success") {
    if (!toasts.isConnected)
        document.body.append(toasts);
    const node = el("div", { class: `alert ${kind}` }, el("span", {}, text),
                    el("button", { type: "button", class: "button plain", "aria-label": _("Close"),
                                   on: { click: () => node.remove() } }, "×"));
    toasts.append(node);
    if (kind !== "danger")
        window.setTimeout(() => node.remove(), 8000);
    return node;
}

/** Show an error by its own sentence. */
export function failed(error) {
    return toast(error.message || String(error), "danger");
}

let dialogs = 0;

/**
 * Show a dialog; resolves with what the pressed button's `run` returned, or undefined if it was closed.
 *
 * A button is `{ text, kind, run }`; what `run` throws is shown inside, and the dialog stays. "Cancel" is always
 * there. The focus is kept inside, and returns to where it was.
 *
 * @param {{ title: string, body?: any, buttons: { text: string, kind?: string, run?: () => any }[], cancel?: string,
 *           wide?: boolean }} what
 */
export function dialog({ title, body = [], buttons, cancel = _("Cancel"), wide = false }) {
    const id = `dialog-${++dialogs}`;
    return new Promise(resolve => {
        const wrong = el("div", { class: "alert danger", role: "alert", hidden: true });
        const close = value => {
            node.close();
            resolve(value);
        };
        const made = buttons.map(each => button(each.text, async () => {
            wrong.hidden = true;
            try {
                close(await each.run?.());
            } catch (error) {
                wrong.hidden = false;
                say(wrong, error.message || String(error));
            }
        }, { kind: each.kind ?? "primary" }));
        const node = el("dialog", { class: wide ? "wide" : null, "aria-labelledby": id },
                        el("h2", { id }, title),
                        el("div", { class: "body" }, body, wrong),
                        el("footer", {}, made, button(cancel, () => close(undefined), { kind: "link" })));
        node.addEventListener("close", () => {
            node.remove();
            resolve(undefined);
        });
        document.body.append(node);
        node.showModal();
        (node.querySelector("input, select, textarea") ?? made[0])?.focus();
    });
}

/** Ask before something is done; `run` does it while the dialog is still open, so that it can show why not. */
export function confirm({ title, text, action, danger = false, run }) {
    return dialog({
        title,
        body: el("p", {}, text),
        buttons: [{
            text: action, kind: danger ? "danger" : "primary", run: async () => {
                await run?.();
                return true;
            },
        }],
    });
}

/** Return an amount of bytes in a fitting unit, as ltspctl shows it (powers of 1000). */
export function bytes(amount) {
    return bytesOf(amount, amount);
}

/** Return an amount of bytes in the unit that fits another amount; `unit` says whether to name it. */
export function bytesOf(amount, whole, unit = true) {
    let power = 0;
    while (power < 4 && whole >= 1000 ** (power + 1))
        power += 1;
    const digits = power === 0 || whole >= 100 * 1000 ** power ? 0 : 1;
    const number = (amount / 1000 ** power).toLocaleString(language(), {
        minimumFractionDigits: digits, maximumFractionDigits: digits,
    });
    return unit ? `${number} ${["B", "kB", "MB", "GB", "TB"][power]}` : number;
}

/** Return the language of the page as the browser's functions name it. */
export function language() {
    return (cockpit.language || "en").replace("_", "-");
}

let made = null;

/** Return what formats times. To make it takes a hundred times as long as to use it, and lists have many times. */
function formats() {
    made ??= {
        ago: new Intl.RelativeTimeFormat(language(), { numeric: "auto" }),
        when: new Intl.DateTimeFormat(language(), { dateStyle: "short", timeStyle: "medium" }),
    };
    return made;
}

const UNITS = [["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1]];

/** Return how long ago a moment was, in words; the moment is in microseconds since the epoch, 0 is never. */
export function ago(moment) {
    if (!moment)
        return _("never");
    const seconds = Math.round((moment / 1e6) - (Date.now() / 1000));
    const [unit, length] = UNITS.find(each => Math.abs(seconds) >= each[1]) ?? UNITS[3];
    return formats().ago.format(Math.trunc(seconds / length), unit);
}

/** Return a moment as date and time of this place. */
export function when(moment) {
    return moment ? formats().when.format(moment / 1000) : _("never");
}

/** A moment, as how long ago it was; it goes on by itself. `update(moment)` shows another one. */
export function since(moment) {
    const node = el("time");
    const update = at => {
        node.dataset.at = at;
        node.title = at ? when(at) : "";
        say(node, ago(at));
    };
    update(moment);
    return { node, update };
}

window.setInterval(() => {
    for (const node of document.querySelectorAll("time[data-at]"))
        say(node, ago(Number(node.dataset.at)));
}, 10000);

/** Follow the light or dark style that a person has chosen in Cockpit. */
export function followStyle() {
    const dark = window.matchMedia("(prefers-color-scheme: dark)");
    const apply = chosen => {
        const style = chosen || window.localStorage.getItem("shell:style") || "auto";
        document.documentElement.classList.toggle("dark", style === "dark" || (style === "auto" && dark.matches));
        // Cockpit 287 colours an empty frame for the time until its page has a style of its own.
        document.documentElement.style.removeProperty("background");
    };
    window.addEventListener("storage", event => event.key === "shell:style" && apply());
    window.addEventListener("cockpit-style", event => apply(event.detail?.style));
    dark.addEventListener("change", () => apply());
    apply();
}
