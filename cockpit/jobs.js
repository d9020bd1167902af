/** Jobs: long work with its bar, and how it ended. The overview shows all, other pages those of their subject. */

import { _, bytesOf, button, el, format, Keyed, labelled, progress, say, since } from "./ui.js";

/** Where jobs have their objects: the path of one ends with its id. */
export const JOBS = "/org/ltsp/Server1/job/";

const ENDED = ["done", "failed", "cancelled"];

/** Whether a job has come to its end. */
export function ended(job) {
    return ENDED.includes(job.State);
}

/** Return what a job does, in words. */
export function title(job) {
    const words = {
        build: _("Building the image $0"),
        test: _("Testing the image $0"),
        fold: _("Folding layers of the image $0"),
        message: _("A message to $0"),
        logout: _("Logging out at $0"),
        reboot: _("Restarting $0"),
        poweroff: _("Switching off $0"),
        wake: _("Switching on $0"),
    }[job.Kind];
    return words ? format(words, job.Subject) : `${job.Kind} ${job.Subject}`;
}

/** Return what is being done now, with bytes where the phase has some. */
export function doing(job) {
    if (job.State === "queued")
        return _("Waits for its turn");
    if (!job.BytesTotal)
        return job.Phase;
    return format(_("$0: $1 of $2"), job.Phase, bytesOf(job.BytesDone, job.BytesTotal, false),
                  bytesOf(job.BytesTotal, job.BytesTotal));
}

/** Return how a job stands, as a word and its kind. */
function standing(job) {
    return {
        queued: [_("Queued"), ""],
        running: [_("Running"), "busy"],
        done: [_("Done"), "good"],
        failed: [_("Failed"), "bad"],
        cancelled: [_("Cancelled"), "warning"],
    }[job.State] ?? [job.State, ""];
}

/** One job. It goes on showing how the job stands: `{ node, update(job) }`. */
export function piece(model, first) {
    const name = title(first);
    const word = labelled(standing)(first);
    const bar = progress(name);
    const at = since(0), words = el("span");
    const outcome = el("p", { class: "faint" }, at.node, ": ", words);
    const cancel = button(_("Cancel"), () => model.call(first.path, "Job", "Cancel"), {
        label: format(_("Cancel: $0"), name),
    });
    const node = el("li", { class: "job", "data-job": first.Id },
                    el("div", { class: "line" }, el("strong", {}, name), word.node, cancel), bar.node, outcome);
    const update = job => {
        word.update(job);
        bar.set(job.Progress, doing(job));
        bar.node.hidden = cancel.hidden = ended(job);
        outcome.hidden = !ended(job);
        at.update(job.FinishedAt);
        say(words, job.Error[1] || job.Result);
    };
    update(first);
    return { node, update };
}

/** A list of jobs, the running ones first: `{ node, set(jobs, touched) }`. */
export function list(model) {
    const node = el("ul", { class: "jobs plain" });
    const keyed = new Keyed(node, job => job.path, job => piece(model, job));
    return {
        node,
        set(jobs, touched = null) {
            keyed.set([...jobs].sort((one, other) => (ended(one) - ended(other)) ||
                (ended(one) ? other.FinishedAt - one.FinishedAt : one.StartedAt - other.StartedAt)), touched);
        },
    };
}

/** Return the text of a job's end, for a toast: `[text, kind]`. */
export function verdict(job) {
    const [text, kind] = standing(job);
    const words = [`${title(job)}: ${text}`, job.State === "failed" ? job.Error[1] : ""];
    return [words.filter(Boolean).join(". "), { good: "success", bad: "danger" }[kind] ?? "info"];
}
