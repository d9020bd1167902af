"""The daemon's objects as text for people. Pure: properties in, text out."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ltspd.cli import show

Properties = Mapping[str, Any]
Group = Sequence[Properties]

# Those of a client as a person asks for them: who is there, who is coming, who isn't.
STAGES = ("login", "root", "network", "failed", "off")


def _state_of(image: Properties) -> str:
    if not image["Current"]:
        return "never built"
    return "stale" if image["StaleBecause"] else "in-sync"


def _images(images: Group, coloured: bool) -> str:
    head = ("IMAGE", "STATE", "CURRENT", "BUILDS", "SIZE", "KERNEL", "SOURCE")
    rows = [
        (
            image["Name"],
            _state_of(image),
            image["Current"],
            len(image["Generations"]),
            show.size(image["Size"]) if image["Current"] else "",
            image["Kernel"],
            image["Source"],
        )
        for image in images
    ]
    return show.table(head, rows, coloured) if rows else "No image, and nothing to build one from."


def _links(links: Group, coloured: bool) -> str:
    head = ("LINK", "STATE", "DHCP", "ADDRESSES")
    rows = [(link["Name"], link["State"], link["Dhcp"], " ".join(link["Addresses"])) for link in links]
    return show.table(head, rows, coloured) if rows else "No network link."


def _clients(clients: Group, coloured: bool) -> str:
    head = ("CLIENT", "MAC", "ADDRESS", "STAGE", "IMAGE", "GENERATION", "ROOT", "LAST SEEN", "ERROR")
    rows = [
        (
            each["Hostname"],
            each["Mac"],
            each["Address"],
            each["Stage"],
            each["Image"],
            each["Generation"],
            each["Transport"],
            show.moment(each["LastSeen"]),
            each["Error"],
        )
        for each in clients
    ]
    return show.table(head, rows, coloured) if rows else "No client has reported."


def _counted(clients: Group) -> str:
    """Return how many clients there are, and at which stages, the usual order first."""
    stages = Counter(str(each["Stage"]) for each in clients)
    order = sorted(stages, key=lambda stage: (STAGES.index(stage) if stage in STAGES else len(STAGES), stage))
    told = ", ".join(f"{stages[stage]} {show.clean(stage) or 'unknown'}" for stage in order)
    return f"{len(clients)} ({told})" if clients else "none has reported"


def _outputs(outputs: Group, coloured: bool) -> str:
    head = ("OUTPUT", "STATE", "UNIT", "APPLIED", "MESSAGE")
    rows = [
        (each["Name"], each["State"], each["Unit"], show.moment(each["AppliedAt"]), each["Message"])
        for each in outputs
    ]
    return show.table(head, rows, coloured) if rows else "No output."


def _jobs(jobs: Group, coloured: bool) -> str:
    head = ("JOB", "KIND", "SUBJECT", "STATE", "PROGRESS", "STARTED", "PHASE OR ERROR")
    rows = [
        (
            job["Id"],
            job["Kind"],
            job["Subject"],
            job["State"],
            f"{job['Progress']:.0%}",
            show.moment(job["StartedAt"]),
            # The first line is the sentence; lines that a program or a console said may follow.
            job["Error"][1].partition("\n")[0]
            or show.doing(job["Phase"], job["BytesDone"], job["BytesTotal"]),
        )
        for job in jobs
    ]
    return show.table(head, rows, coloured) if rows else "No job."


LISTS: Mapping[str, Callable[[Group, bool], str]] = {
    "Image": _images,
    "Link": _links,
    "Client": _clients,
    "Output": _outputs,
    "Job": _jobs,
}


def status(manager: Properties, groups: Mapping[str, Group], coloured: bool) -> str:
    """Return the overview: what the server says of itself, then what isn't as it should be."""
    parts = [
        show.fields(
            [
                ("State", manager["State"]),
                ("Version", manager["Version"]),
                ("Images in", manager["BaseDirectory"]),
                ("TFTP from", manager["TftpDirectory"]),
                ("Clients", _counted(groups["Clients"])),
            ],
            coloured,
        )
    ]
    if manager["Problems"]:
        parts.append("Problems:\n" + "\n".join(f"  {show.clean(each)}" for each in manager["Problems"]))
    parts.append(_images(groups["Images"], coloured))
    parts.append(_links(groups["Links"], coloured))
    if odd := [each for each in groups["Outputs"] if each["State"] not in ("in-sync", "disabled")]:
        parts.append(_outputs(odd, coloured))
    if running := [each for each in groups["Jobs"] if each["State"] in ("queued", "running")]:
        parts.append(_jobs(running, coloured))
    return "\n\n".join(parts)


def details(noun: str, found: Properties, coloured: bool) -> str:
    """Return everything about one object."""
    text = show.fields(
        [(name, _value(name, value)) for name, value in found.items() if name != "Generations"], coloured
    )
    if noun != "Image":
        return text
    current = [each for each in found["Generations"] if each["Id"] == found["Current"]]
    return "\n\n".join(
        [text, _generations(found, coloured), *(notes(each) for each in current if each["Notes"])]
    )


def notes(generation: Properties) -> str:
    """Return what a person should know of a generation's content, a line each."""
    return "\n".join(
        [f"Notes on {generation['Id']}:", *(f"  {show.clean(each)}" for each in generation["Notes"])]
    )


def _generations(image: Properties, coloured: bool) -> str:
    head = ("", "GENERATION", "KEPT", "CREATED", "SIZE", "LAYERS", "KERNEL", "SUMMARY")
    rows = [
        (
            "*" if each["Id"] == image["Current"] else " ",
            each["Id"],
            "kept" if each["Kept"] else "",
            show.moment(each["Created"]),
            show.size(each["Size"]),
            each["Layers"],
            each["Kernel"],
            each["Summary"],
        )
        for each in image["Generations"]
    ]
    return show.table(head, rows, coloured) if rows else "Never built; 'ltspctl image build' builds it."


def _value(name: str, value: Any) -> str:
    match name, value:
        case (("StartedAt" | "FinishedAt" | "AppliedAt" | "LastSeen"), int()):
            return show.moment(value)
        case "Progress", float():
            return f"{value:.0%}"
        case (("Size" | "BytesDone" | "BytesTotal"), int()):
            return show.size(value) if value else ""
        case "Job", str():
            return value.rpartition("/")[2]
        case "Error", (str(), str(sentence)):
            return sentence.replace("\n", " |")
        case _, list():
            return " ".join(str(each) for each in value)
        case _:
            return str(value)
