/** Clients as people read them: their names, their stages in words, and since when. */

import { _, label } from "./ui.js";

/** The stages in the order in which a person asks for them: who is there, who is coming, who is not. */
export const STAGES = [
    { stage: "login", title: _("Ready"), kind: "good" },
    { stage: "root", title: _("Starts its system"), kind: "busy" },
    { stage: "network", title: _("Starts its client"), kind: "busy" },
    { stage: "tftp", title: _("Fetches its boot program"), kind: "busy" },
    { stage: "lease", title: _("Has an address"), kind: "busy" },
    { stage: "offer", title: _("Is offered an address"), kind: "busy" },
    { stage: "discover", title: _("Asks for an address"), kind: "busy" },
    { stage: "failed", title: _("Can't boot"), kind: "bad" },
    { stage: "off", title: _("Off"), kind: "" },
];

const OF_STAGE = new Map(STAGES.map(each => [each.stage, each]));

/** Return what a stage is called; one that we don't know has its own name. */
export function stageTitle(stage) {
    return OF_STAGE.get(stage)?.title ?? (stage || _("Unknown"));
}

export function stageLabel(stage) {
    return label(stageTitle(stage), OF_STAGE.get(stage)?.kind ?? "");
}

/** Return the name by which people know a client. */
export function nameOf(client) {
    return client.Hostname || client.Mac;
}

/** Return when a client came to its stage, in microseconds; when it was seen last if that isn't known. */
export function reachedAt(client) {
    return client.Stages?.[client.Stage] ?? client.LastSeen;
}

/** Whether a client can't boot, or runs short of something. */
export function isFailing(client) {
    return client.Stage === "failed" || client.Error !== "";
}

/** Whether a client runs, so that it can be told something. */
export function isOn(client) {
    return ["login", "root", "network"].includes(client.Stage);
}
