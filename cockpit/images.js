/** Images: their generations, who boots them, what can be done with them, and the jobs that work on them. */

import { option } from "./bus.js";
import { ended, list as jobList } from "./jobs.js";
import { may, NOT_ALLOWED, ONLY_LOOK, unless } from "./may.js";
import {
    _, bytes, button, card, confirm, dialog, el, fields, fill, format, Keyed, label, ngettext, say, since, toast,
} from "./ui.js";

/** Kinds of jobs whose subject is an image. */
const KINDS = ["build", "test", "fold"];
/** With more images than this, the generations of each are shown when they are asked for. */
const OPEN_MOST = 3;
/** What Image.Job says while nothing works on it. */
const NO_JOB = "/";

function stateOf(image) {
    if (!image.Current)
        return [_("Never built"), "warning"];
    return image.StaleBecause ? [_("Out of date"), "warning"] : [_("Up to date"), "good"];
}

/** Count the clients of each generation: `count(image, generation)`, and of an image without one. */
function usage(clients) {
    const found = new Map();
    const add = key => found.set(key, (found.get(key) ?? 0) + 1);
    for (const of of clients) {
        if (of.Image && of.Stage !== "off") {
            add(of.Image);
            add(`${of.Image}\n${of.Generation}`);
        }
    }
    return (image, generation = null) => found.get(generation === null ? image : `${image}\n${generation}`) ?? 0;
}

function check(text, help) {
    const box = el("input", { type: "checkbox" });
    return { box, node: el("label", {}, box, text, " ", el("span", { class: "faint" }, help)) };
}

/** The form about a build: `{ node, options() }`. */
function buildForm() {
    const full = check(_("Pack everything anew"), _("also what did not change"));
    const test = check(_("Test it first"), _("in a machine of its own; it is dropped if it does not reach its login"));
    const background = check(_("In the background"), _("with low priority"));
    const direct = check(_("Pack nothing"), _("clients read the source itself"));
    const kernel = el("input", { autocomplete: "off", spellcheck: "false" });
    const initrd = el("select", {}, [
        ["", _("As before")], ["own", _("Our small one")], ["distribution", _("The distribution's")],
    ].map(([value, text]) => el("option", { value }, text)));
    return {
        node: el("div", { class: "form" },
                 el("div", { class: "stack" }, full.node, test.node, background.node, direct.node),
                 el("label", { class: "field" },
                    el("span", {}, _("Kernel (a pattern such as 6.1.*; empty: as before)")), kernel),
                 el("label", { class: "field" }, el("span", {}, _("Initrd")), initrd)),
        options: () => Object.fromEntries([
            ...[["full", full], ["test", test], ["background", background], ["direct", direct]]
                    .filter(([, each]) => each.box.checked)
                    .map(([name]) => [name, option("b", true)]),
            ...(kernel.value.trim() ? [["kernel", option("s", kernel.value.trim())]] : []),
            ...(initrd.value ? [["initrd", option("s", initrd.value)]] : []),
        ]),
    };
}

/** Ask how to build and begin: `begin(options)` calls the daemon. `more` are fields ahead of the others. */
function askBuild(title, begin, more = []) {
    const form = buildForm();
    return dialog({
        title,
        body: [more, form.node],
        buttons: [{
            text: _("Build"),
            run: async () => {
                await begin(form.options());
                return true;
            },
        }],
    });
}

/** The row of a generation: `{ node, update([image, generation, used, allowed]) }`. */
function generationRow(model, first) {
    let [image, generation] = first;
    const { Id } = generation;
    const act = (method, signature, values) => model.call(image.path, "Image", method, signature, values);
    const marks = el("div", { class: "marks" });
    const summary = el("span");
    const notes = el("ul");
    const noted = el("summary");
    const about = el("details", { class: "notes" }, noted, notes);
    const created = since(generation.Created);
    const size = el("td", { class: "numeric", "data-label": _("Size") });
    const layers = el("td", { class: "numeric", "data-label": _("Layers") });
    const used = el("td", { class: "numeric", "data-label": _("Clients") });
    const spoken = text => format(_("$0: $1"), text, Id);
    const small = (text, run) => {
        const made = button(text, run, { label: spoken(text) });
        made.classList.add("small");
        return made;
    };
    const use = small(_("Boot this one"), () => confirm({
        title: format(_("Have new clients boot $0?"), Id),
        text: _("Clients that run keep theirs until they boot again."),
        action: _("Boot this one"),
        run: async () => {
            await act("Revert", "s", [Id]);
            toast(format(_("New clients of $0 boot $1."), image.Name, Id));
        },
    }));
    const test = small(_("Test"), () => act("Test", "a{sv}", [{ generation: option("s", Id) }]));
    const keep = small(_("Keep"), () => act("Keep", "sb", [Id, !generation.Kept]));
    const remove = small(_("Remove"), () => confirm({
        title: format(_("Remove $0?"), Id),
        text: _("It can't be brought back."),
        action: _("Remove"),
        danger: true,
        run: async () => {
            await act("Remove", "s", [Id]);
            toast(format(_("$0 is removed."), Id));
        },
    }));
    const node = el("tr", { "data-generation": Id },
                    el("th", { scope: "row", "data-label": _("Generation") },
                       el("div", { class: "stack" }, el("span", { class: "mono" }, Id), marks)),
                    el("td", { "data-label": _("Built") }, created.node),
                    el("td", { "data-label": _("What changed") }, el("div", { class: "stack" }, summary, about)),
                    size, layers, used,
                    el("td", { "data-label": _("Actions") }, el("div", { class: "actions" }, use, test, keep, remove)));
    let shown = "";
    const update = ([ofImage, now, count, allowed]) => {
        image = ofImage;
        generation = now;
        const current = image.Current === Id;
        const tags = [
            ...(current ? [[_("Current"), "good"]] : []),
            ...(now.Kept ? [[_("Kept"), ""]] : []),
            ...(now.Ordered ? [[_("Ordered"), ""]] : []),
        ];
        if (shown !== JSON.stringify(tags)) {
            shown = JSON.stringify(tags);
            fill(marks, tags.map(tag => label(...tag)));
        }
        created.update(now.Created);
        say(summary, now.Summary || "–");
        about.hidden = now.Notes.length === 0;
        say(noted, format(ngettext("$0 note", "$0 notes", now.Notes.length), now.Notes.length));
        if (notes.dataset.text !== now.Notes.join("\n")) {
            notes.dataset.text = now.Notes.join("\n");
            fill(notes, now.Notes.map(text => el("li", {}, text)));
        }
        say(size, bytes(now.Size));
        say(layers, String(now.Layers || _("none")));
        say(used, String(count));
        use.hidden = current;
        test.hidden = now.Layers === 0;
        say(keep, now.Kept ? _("Keep no longer") : _("Keep"));
        keep.setAttribute("aria-label", spoken(keep.textContent));
        remove.hidden = current;
        for (const each of [use, keep])
            unless(each, allowed.revert ? "" : NOT_ALLOWED());
        unless(test, allowed.build ? "" : NOT_ALLOWED());
        unless(remove, !allowed.revert
            ? NOT_ALLOWED()
            : now.Kept ? _("It is kept.") : count ? _("Clients use it.") : "");
    };
    update(first);
    return { node, update };
}

/** An image as a card: `{ node, update({ image, job, used, allowed }) }`. */
function imageCard(model, first, open) {
    let { image } = first;
    const { Name, path } = image;
    const state = el("span");
    const facts = fields([
        [_("New clients boot"), "current"], [_("Size"), "size"], [_("Kernel"), "kernel"],
        [_("Clients"), "clients"], [_("Built from"), "source"], [_("Why it is out of date"), "stale"],
    ]);
    const stale = facts.node.lastChild;
    const jobs = jobList(model);
    let allowed = first.allowed;
    let known = first;
    const call = (method, signature, values) => model.call(path, "Image", method, signature, values);
    const build = button(_("Build…"), () => askBuild(
        format(_("Build $0"), Name), options => call("Build", "a{sv}", [options])),
                         { kind: "primary", label: format(_("$0: $1"), _("Build…"), Name) });
    const test = button(_("Test"), () => call("Test", "a{sv}", [{}]),
                        { label: format(_("$0: $1"), _("Test"), Name) });
    const back = button(_("Go back"), () => confirm({
        title: format(_("Have new clients of $0 boot the generation before?"), Name),
        text: _("Clients that run keep theirs until they boot again."),
        action: _("Go back"),
        run: async () => {
            await call("Revert", "s", [""]);
            toast(format(_("New clients of $0 boot the generation before."), Name));
        },
    }), { label: format(_("$0: $1"), _("Go back"), Name) });
    const spare = () => image.Generations.filter(
        each => each.Id !== image.Current && !each.Kept && !known.used(Name, each.Id));
    const prune = button(_("Remove unused…"), () => confirm({
        title: format(_("Remove what nothing uses of $0?"), Name),
        text: format(ngettext("$0 generation is neither current nor kept, and no client uses it.",
                              "$0 generations are neither current nor kept, and no client uses them.",
                              spare().length), spare().length),
        action: _("Remove"),
        danger: true,
        run: async () => {
            const gone = spare();
            const refused = [];
            for (const each of gone) {
                try {
                    await call("Remove", "s", [each.Id]);
                } catch (error) {
                    refused.push(error.message);
                }
            }
            if (refused.length)
                throw new Error(refused.join("\n"));
            toast(format(ngettext("$0 generation is removed.", "$0 generations are removed.", gone.length),
                         gone.length));
        },
    }), { label: format(_("$0: $1"), _("Remove unused…"), Name) });

    const body = el("tbody");
    const rows = new Keyed(body, ([, generation]) => generation.Id, each => generationRow(model, each));
    const shown = el("table", {},
                     el("caption", { class: "sr-only" }, format(_("Generations of $0"), Name)),
                     el("thead", {}, el("tr", {},
                                        el("th", { scope: "col" }, _("Generation")),
                                        el("th", { scope: "col" }, _("Built")),
                                        el("th", { scope: "col" }, _("What changed")),
                                        el("th", { scope: "col", class: "numeric" }, _("Size")),
                                        el("th", { scope: "col", class: "numeric" }, _("Layers")),
                                        el("th", { scope: "col", class: "numeric" }, _("Clients")),
                                        el("th", { scope: "col" }, _("Actions")))),
                     body);
    const count = el("summary");
    const generations = el("details", { class: "generations", open }, count, el("div", { class: "table" }, shown));
    const node = el("section", { class: "card", "aria-label": Name, "data-image": Name },
                    el("header", {}, el("div", { class: "tools" }, el("h2", {}, Name), state),
                       el("div", { class: "actions" }, build, test, back, prune)),
                    el("div", { class: "body" }, jobs.node, facts.node, generations));
    const draw = () => {
        // What is closed isn't made: an image may have many generations, and there may be many images.
        if (generations.open) {
            rows.set([...image.Generations].reverse().map(
                each => [image, each, known.used(Name, each.Id), allowed]));
        }
    };
    generations.addEventListener("toggle", draw);
    let told = "";
    const update = now => {
        known = now;
        ({ image, allowed } = now);
        const [text, kind] = stateOf(image);
        if (told !== text) {
            told = text;
            fill(state, label(text, kind));
        }
        facts.set({
            current: image.Current || "–",
            size: image.Current ? bytes(image.Size) : "–",
            kernel: image.Kernel || "–",
            clients: now.used(Name),
            source: image.Source || _("Its source is gone"),
            stale: image.StaleBecause,
        });
        stale.hidden = !image.StaleBecause || !image.Current;
        jobs.set(now.job ? [now.job] : []);
        jobs.node.hidden = !now.job;
        const number = image.Generations.length;
        say(count, format(ngettext("$0 generation", "$0 generations", number), number));
        generations.hidden = number === 0;
        test.hidden = !image.Current;
        back.hidden = prune.hidden = number < 2;
        const busy = image.Job !== NO_JOB ? _("A job works on it.") : "";
        unless(build, allowed.build ? busy : NOT_ALLOWED());
        unless(test, allowed.build ? busy : NOT_ALLOWED());
        unless(back, allowed.revert ? "" : NOT_ALLOWED());
        unless(prune, !allowed.revert ? NOT_ALLOWED() : spare().length ? "" : _("Nothing is unused."));
        draw();
    };
    update(first);
    return { node, update };
}

function show(root, model, view) {
    const [named] = view.place;
    const list = el("div", { class: "view" });
    const only = el("p", { class: "faint", hidden: true }, ONLY_LOOK());
    const nothing = el("p", { class: "empty" }, _("There is no image, and nothing to build one from."));
    const name = el("input", { autocomplete: "off", spellcheck: "false", placeholder: "/" });
    const other = button(_("Build something else…"), () => {
        name.value = "";
        return askBuild(_("Build something else"), async options => {
            await model.manage("BuildImage", "sa{sv}", [name.value.trim(), options]);
        }, el("label", { class: "field" },
              el("span", {}, _("Path of a VM's disk or a live medium; / is this server's own root")), name));
    });
    const permits = new Map();
    const none = { build: false, revert: false };
    let used = usage(model.all("Client"));
    // What had ended before is history; what ends now is news.
    const old = new Set(model.all("Job").filter(ended)
            .map(job => job.path));
    const jobOf = image => model.all("Job").filter(
        job => job.Subject === image.Name && KINDS.includes(job.Kind) && !old.has(job.path)).at(-1);
    const images = model.all("Image");
    const cards = new Keyed(list, ({ image }) => image.path, each => imageCard(
        model, each, named === each.image.Name || images.length <= OPEN_MOST));
    const item = image => ({ image, job: jobOf(image), used, allowed: permits.get(image.path) ?? none });
    const draw = () => {
        const found = model.all("Image").sort((one, another) => one.Name.localeCompare(another.Name));
        cards.set(found.map(item));
        nothing.hidden = found.length > 0;
    };
    const permit = async () => {
        const asked = model.all("Image").filter(each => !permits.has(each.path));
        asked.forEach(each => permits.set(each.path, none));
        const found = await may(model, [
            ...asked.flatMap(each => [[each.path, "Build", [["a{sv}", {}]]], [each.path, "Revert", [["s", ""]]]]),
            [model.manager.path, "BuildImage", [["s", "/srv/disk.img"], ["a{sv}", {}]]],
        ]);
        asked.forEach((each, at) => permits.set(each.path, { build: found[2 * at], revert: found[2 * at + 1] }));
        unless(other, found.at(-1) ? "" : NOT_ALLOWED());
        only.hidden = found.at(-1) || [...permits.values()].some(each => each.build || each.revert);
        draw();
    };
    root.append(el("div", { class: "tools" }, other, only), nothing, list);
    view.watch(["Image", "Job", "Client"], change => {
        const before = used;
        if (change.has("Client"))
            used = usage(model.all("Client"));
        if (change.whole.has("Image")) {
            draw();
            permit();
            return;
        }
        const touched = new Set(change.paths("Image"));
        for (const path of change.paths("Job")) {
            const job = model.at("Job", path);
            model.all("Image").filter(each => !job || each.Name === job.Subject)
                    .forEach(each => touched.add(each.path));
        }
        // A client's news seldom concerns any image.
        if (change.has("Client")) {
            model.all("Image").filter(each => before(each.Name) !== used(each.Name) ||
                each.Generations.some(one => before(each.Name, one.Id) !== used(each.Name, one.Id)))
                    .forEach(each => touched.add(each.path));
        }
        touched.forEach(path => cards.touch(item(model.at("Image", path))));
    });
    draw();
    permit();
    if (named)
        list.querySelector(`[data-image="${CSS.escape(named)}"]`)?.scrollIntoView();
}

export const images = { id: "images", title: _("Images"), show };
