"""What the gateway counts, and what the daemon says of itself, as families of metrics. Pure."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from ltspd.clients.fields import ClientStage
from ltspd.gateway.exposition import Family, Histogram, labelled, single
from ltspd.gateway.reports import MARKS
from ltspd.names import ROOT_PATH, interface

# Seconds since a client's kernel started. Real machines reach the login within half a minute, emulated and
# very old ones within minutes.
BOUNDS = (1.0, 2.5, 5.0, 7.5, 10.0, 15.0, 20.0, 30.0, 45.0, 60.0, 90.0, 120.0, 300.0)
# What can become of a report; all but "taken" are refusals.
OUTCOMES = ("taken", "malformed", "foreign", "impostor", "limited")
# What a client may get of its initrd: what its network card needs, or all.
INITRDS = ("slim", "full")
# The daemon's words for its jobs and states once more, because the model would take memory. A test compares.
JOBS, RESULTS = ("build", "fold"), ("done", "failed", "cancelled")
STATES = ("starting", "in-sync", "applying", "attention")

# path -> interface -> properties
Objects = Mapping[str, Mapping[str, Mapping[str, Any]]]


class Counts:
    """All counters since the gateway's start."""

    def __init__(self) -> None:
        """Begin with zeroes."""
        self.requests: Counter[int] = Counter()
        self.initrds: Counter[str] = Counter(dict.fromkeys(INITRDS, 0))
        self.bytes = 0
        self.connections = self.waiting = self.refused = 0
        self.reports: Counter[str] = Counter(dict.fromkeys(OUTCOMES, 0))
        self.jobs: Counter[tuple[str, str]] = Counter(
            {(kind, result): 0 for kind in JOBS for result in RESULTS}
        )
        self.boots = {mark: Histogram(BOUNDS) for mark in MARKS}

    def marked(self, marks: Mapping[str, float]) -> None:
        """Count how long clients took to get so far."""
        for name, seconds in marks.items():
            self.boots[name].observe(seconds)


def families(counts: Counts, stages: Mapping[str, int], objects: Objects | None) -> Iterator[Family]:
    """Yield all metrics; ``objects`` are the daemon's with its manager, None if it doesn't answer."""
    yield labelled(
        "ltspd_http_requests_total", "counter", "Requests of clients by HTTP status.", "code",
        {str(code): count for code, count in sorted(counts.requests.items())},
    )  # fmt: skip
    yield single(
        "ltspd_http_sent_bytes_total", "counter", "Bytes of files that went out whole, or as asked for.",
        counts.bytes,
    )  # fmt: skip
    yield labelled(
        "ltspd_initrds_total", "counter",
        "Initrds that clients fetched: slim (what their network card needs) or full (all drivers).",
        "kind", counts.initrds,
    )  # fmt: skip
    yield single("ltspd_http_connections", "gauge", "Connections that are open.", counts.connections)
    yield single(
        "ltspd_http_waiting_connections", "gauge", "Connections on which running clients wait for news.",
        counts.waiting,
    )  # fmt: skip
    yield single(
        "ltspd_http_refused_connections_total", "counter",
        "Connections that met a limit: new ones that were turned away, and idle ones that made room.",
        counts.refused,
    )  # fmt: skip
    yield labelled(
        "ltspd_client_reports_total", "counter",
        "Reports of clients by what became of them: taken, malformed, foreign (from a network that is not "
        "served), impostor (of another machine than the sender), limited (too many).",
        "result", counts.reports,
    )  # fmt: skip
    yield labelled(
        "ltspd_clients", "gauge", "Clients that reported, by the last stage that they told.", "stage",
        {str(stage): stages.get(stage, 0) for stage in ClientStage},
    )  # fmt: skip
    yield Family(
        "ltspd_client_boot_seconds", "histogram",
        "Seconds from the start of a client's kernel until it got so far.",
        [each for mark, boots in counts.boots.items() for each in boots.samples({"stage": mark})],
    )  # fmt: skip
    yield Family(
        "ltspd_jobs_finished_total", "counter", "Jobs of the daemon that ended while the gateway ran.",
        [("", {"kind": kind, "result": how}, count) for (kind, how), count in sorted(counts.jobs.items())],
    )  # fmt: skip
    yield single("ltspd_up", "gauge", "Whether the daemon answers on D-Bus.", objects is not None)
    if objects is not None:
        yield from _daemon(objects)


def _daemon(objects: Objects) -> Iterator[Family]:
    manager = objects.get(ROOT_PATH, {}).get(interface("Manager"), {})
    yield Family(
        "ltspd_info", "gauge", "Version of the daemon.",
        [("", {"version": str(manager.get("Version", ""))}, 1)],
    )  # fmt: skip
    yield labelled(
        "ltspd_state", "gauge", "The daemon's state: 1 for the one that it is in.", "state",
        {state: manager.get("State") == state for state in STATES},
    )  # fmt: skip
    yield single("ltspd_problems", "gauge", "Things that need attention.", len(manager.get("Problems", ())))
    yield single(
        "ltspd_revision", "gauge", "Grows with every change of what the daemon publishes, from 0 on.",
        manager.get("Revision", 0),
    )  # fmt: skip
    images = [each[interface("Image")] for each in objects.values() if interface("Image") in each]

    def each_image(name: str, about: str, value: Mapping[str, float]) -> Family:
        return labelled(name, "gauge", about, "image", value)

    yield each_image(
        "ltspd_image_generations", "Generations of an image.",
        {each["Name"]: len(each["Generations"]) for each in images},
    )  # fmt: skip
    yield each_image(
        "ltspd_image_size_bytes", "Bytes of an image's current generation.",
        {each["Name"]: each["Size"] for each in images},
    )  # fmt: skip
    yield each_image(
        "ltspd_image_stale", "Whether a new build would differ from the current generation.",
        {each["Name"]: bool(each["StaleBecause"]) for each in images},
    )  # fmt: skip
