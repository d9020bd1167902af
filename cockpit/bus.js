/**
 * What the daemon publishes on D-Bus, kept live.
 *
 * One connection, one copy of all properties. Changes are collected and told once a frame, by the paths that they
 * touch, so that a change of one client redraws one row.
 *
 * @typedef {Record<string, any>} Properties  An object's D-Bus properties by name, and `path`, its object path.
 */

/* global cockpit */

const NAME = "org.ltsp.Server1";
const ROOT = "/org/ltsp/Server1";
const OF_PROPERTIES = "org.freedesktop.DBus.Properties";
const OF_OBJECTS = "org.freedesktop.DBus.ObjectManager";
/** Milliseconds until a lost connection is tried again. */
const AGAIN = 2000;

/** Nouns whose objects are kept; "Manager" is the server itself. */
export const NOUNS = ["Image", "Link", "Client", "Output", "Job"];

/** Return a value of D-Bus without its variants. */
function plain(value) {
    if (Array.isArray(value))
        return value.map(plain);
    if (value === null || typeof value !== "object")
        return value;
    const keys = Object.keys(value);
    if (keys.length === 2 && "t" in value && "v" in value && typeof value.t === "string")
        return plain(value.v);
    return Object.fromEntries(keys.map(key => [key, plain(value[key])]));
}

/** What changed since the last notice: for each noun, the paths of its objects. */
export class Change {
    constructor() {
        /** @type {Map<string, Set<string>>} */
        this.touched = new Map();
        /** Whether objects came or went, or all is new: lists are to be drawn from the start. */
        this.whole = new Set();
    }

    /** Whether something of these nouns changed. */
    has(...nouns) {
        return nouns.some(noun => this.touched.has(noun));
    }

    /** Return the paths of a noun's objects whose properties changed, or that came or went. */
    paths(noun) {
        return this.touched.get(noun) ?? new Set();
    }

    note(noun, path, whole) {
        if (!this.touched.has(noun))
            this.touched.set(noun, new Set());
        this.touched.get(noun).add(path);
        if (whole)
            this.whole.add(noun);
    }
}

/** The daemon as this page knows it. */
export class Model {
    constructor() {
        /** Properties of the server (org.ltsp.Server1.Manager). @type {Properties} */
        this.manager = {};
        /** "loading", "here", or "away": the daemon has left the bus. */
        this.presence = "loading";
        /** Why it is away, as a sentence; may be empty. */
        this.reason = "";
        this.objects = new Map(NOUNS.map(noun => [noun, new Map()]));
        this.watchers = new Set();
        this.signals = new Set();
        this.pending = null;
        /** What was asked of the owner of the name; null while there is none. */
        this.turn = null;
        this.connect();
    }

    /** Return all objects of a noun. @returns {Properties[]} */
    all(noun) {
        return [...this.objects.get(noun).values()];
    }

    /** Return the object at a path; undefined if there is none. @returns {Properties | undefined} */
    at(noun, path) {
        return this.objects.get(noun).get(path);
    }

    /**
     * Have a function called with a Change, at most once a frame, when something of these nouns has changed.
     *
     * "Presence" is whether the daemon is there. Return a function that ends it.
     *
     * @param {string[]} nouns @param {(change: Change) => void} tell
     */
    watch(nouns, tell) {
        const watcher = { nouns, tell };
        this.watchers.add(watcher);
        return () => this.watchers.delete(watcher);
    }

    /** Have a function called for each JobFinished, with the job's path and its result. Return what ends it. */
    onfinished(tell) {
        this.signals.add(tell);
        return () => this.signals.delete(tell);
    }

    /**
     * Call a method of a noun; return what it returns, without variants.
     *
     * An Error's message is the daemon's own sentence, its `name` the name of the D-Bus error.
     *
     * @param {string} path @param {string} noun @param {string} method
     * @param {string} [signature] the arguments' D-Bus types @param {any[]} [values]
     * @returns {Promise<any[]>}
     */
    async call(path, noun, method, signature = "", values = []) {
        return plain(await this.ask(path, `${NAME}.${noun}`, method, signature, values));
    }

    /** As `call`, for a method of the server itself. */
    manage(method, signature = "", values = []) {
        return this.call(ROOT, "Manager", method, signature, values);
    }

    ask(path, interface_, method, signature, values) {
        return new Promise((resolve, reject) => {
            this.client.call(path, interface_, method, values, { type: signature })
                    .then(resolve, error => {
                        const told = new Error(error.message || error.problem || String(error));
                        told.name = error.name || error.problem || "";
                        reject(told);
                    });
        });
    }

    connect() {
        const client = cockpit.dbus(NAME, { bus: "system", superuser: "try" });
        this.client = client;
        this.loaded = false;
        client.subscribe({ path_namespace: ROOT }, (...signal) => this.hear(...signal));
        client.addEventListener("owner", (_event, owner) => {
            if (this.client !== client)
                return;
            if (!owner)
                this.lose("");
            else if (this.turn === null)
                this.load(client);
        });
        client.addEventListener("close", (_event, options) => {
            if (this.client !== client)
                return;
            this.lose(options?.message || options?.problem || "");
            window.setTimeout(() => this.client === client && this.connect(), AGAIN);
        });
        this.load(client);
    }

    async load(client) {
        // It ends with the owner of the name: answers that come later are worthless.
        const turn = this.turn = {};
        this.loaded = false;
        let manager, found;
        try {
            [[manager], [found]] = await Promise.all([
                this.ask(ROOT, OF_PROPERTIES, "GetAll", "s", [`${NAME}.Manager`]),
                this.ask(ROOT, OF_OBJECTS, "GetManagedObjects", "", []),
            ]);
        } catch (error) {
            if (this.client === client && this.turn === turn)
                this.lose(error.message);
            return;
        }
        if (this.client !== client || this.turn !== turn)
            return;
        this.manager = { path: ROOT, ...plain(manager) };
        for (const noun of NOUNS)
            this.objects.get(noun).clear();
        this.loaded = true;
        this.presence = "here";
        this.reason = "";
        for (const noun of ["Manager", "Presence", ...NOUNS])
            this.note(noun, ROOT, true);
        for (const [path, interfaces] of Object.entries(found))
            this.add(path, interfaces);
    }

    lose(reason) {
        this.turn = null;
        this.loaded = false;
        if (this.presence === "away" && this.reason === reason)
            return;
        this.presence = "away";
        this.reason = reason;
        this.note("Presence", ROOT, true);
    }

    hear(path, interface_, signal, values) {
        // What is told while we ask for everything is in the answer.
        if (!this.loaded)
            return;
        if (interface_ === OF_PROPERTIES && signal === "PropertiesChanged")
            this.renew(path, values[0], values[1]);
        else if (interface_ === OF_OBJECTS && signal === "InterfacesAdded")
            this.add(values[0], values[1]);
        else if (interface_ === OF_OBJECTS && signal === "InterfacesRemoved")
            this.remove(values[0], values[1]);
        else if (signal === "JobFinished")
            this.signals.forEach(tell => tell(values[0], values[1]));
    }

    renew(path, interface_, values) {
        const noun = interface_.slice(NAME.length + 1);
        const known = noun === "Manager" ? this.manager : this.objects.get(noun)?.get(path);
        if (!interface_.startsWith(NAME) || !known)
            return;
        Object.assign(known, plain(values));
        this.note(noun, path, false);
    }

    add(path, interfaces) {
        for (const [interface_, values] of Object.entries(interfaces)) {
            const noun = interface_.slice(NAME.length + 1);
            if (!this.objects.has(noun))
                continue;
            this.objects.get(noun).set(path, { path, ...plain(values) });
            this.note(noun, path, true);
        }
    }

    remove(path, interfaces) {
        for (const interface_ of interfaces) {
            const noun = interface_.slice(NAME.length + 1);
            if (this.objects.get(noun)?.delete(path))
                this.note(noun, path, true);
        }
    }

    note(noun, path, whole) {
        if (this.pending === null) {
            this.pending = new Change();
            window.requestAnimationFrame(() => {
                const change = this.pending;
                this.pending = null;
                for (const watcher of [...this.watchers]) {
                    if (this.watchers.has(watcher) && change.has(...watcher.nouns))
                        watcher.tell(change);
                }
            });
        }
        this.pending.note(noun, path, whole);
    }
}

/** Return an option's value for an a{sv}: `option("b", true)`. */
export function option(signature, value) {
    return cockpit.variant(signature, value);
}
