"""State → the objects on the bus with their properties, as plain values. Pure; no D-Bus library here."""

from collections.abc import Callable, Mapping
from functools import lru_cache
from operator import attrgetter
from typing import Any, NamedTuple

from ltspd.model.client import ClientState
from ltspd.model.configuration import ConfigFinding, Setting
from ltspd.model.facts import Leftover
from ltspd.model.image import Generation, ImageState
from ltspd.model.job import Job
from ltspd.model.network import LinkState
from ltspd.model.output import OutputStatus
from ltspd.model.state import State
from ltspd.names import ROOT_PATH, interface, object_path

# What an object-path property says when there is no object.
NO_OBJECT = "/"

_NO_PROPERTIES: Mapping[str, Any] = {}

# path -> interface -> property -> value
Tree = Mapping[str, Mapping[str, Mapping[str, Any]]]


class Typed(NamedTuple):
    """A value inside a variant: there, only the value itself can say its D-Bus type."""

    signature: str
    value: Any


def tree(state: State, before: tuple[State, Tree] | None = None) -> Tree:
    """Return all objects of a state; sequences are tuples, so that equal states give equal trees.

    What a noun of ``before`` gave, the same noun gives again, as the same mapping: with hundreds of
    clients almost nothing changes from one state to the next.
    """
    old, known = before if before is not None else (State(""), {})
    return {
        ROOT_PATH: {interface("Manager"): _manager(state), interface("Gateway"): _NO_PROPERTIES},
        **_objects("Image", _image, _NAME, state.images, old.images, known),
        **_objects("Link", _link, _NAME, state.links, old.links, known),
        **_objects("Client", _client, attrgetter("mac"), state.clients, old.clients, known),
        **_objects("Output", _output, _NAME, state.outputs, old.outputs, known),
        **_objects("Job", _job, attrgetter("id"), state.jobs, old.jobs, known),
    }


_NAME = attrgetter("name")
# Names are few, and escaping one takes longer than all else that is done for an unchanged object.
_path = lru_cache(maxsize=4096)(object_path)


def _objects(
    noun: str,
    describe: Callable[[Any], Mapping[str, Any]],
    key: Callable[[Any], str],
    now: tuple[Any, ...],
    before: tuple[Any, ...],
    known: Tree,
) -> Mapping[str, Mapping[str, Mapping[str, Any]]]:
    name, collection = interface(noun), noun.lower()
    old = {id(each) for each in before}
    found = {}
    for each in now:
        path = _path(collection, key(each))
        # Both states are alive, so that no two of their nouns share an id.
        found[path] = known[path] if id(each) in old else {name: describe(each)}
    return found


def _manager(state: State) -> Mapping[str, Any]:
    return {
        "Version": state.version,
        "State": str(state.state),
        "Problems": state.problems,
        "Revision": state.revision,
        "BaseDirectory": state.base_directory,
        "TftpDirectory": state.tftp_directory,
        "Remains": tuple(_leftover(each) for each in state.leftovers),
        "SetAside": state.set_aside,
    }


def _leftover(leftover: Leftover) -> Mapping[str, Typed]:
    return {
        "Path": Typed("s", leftover.path),
        "Effect": Typed("s", leftover.effect),
        "Step": Typed("s", leftover.step),
        "Harms": Typed("b", leftover.harms),
        "Moves": Typed("b", leftover.moves),
    }


def _image(image: ImageState) -> Mapping[str, Any]:
    return {
        "Name": image.name,
        "Source": image.source,
        "Current": image.current,
        "Generations": tuple(_generation(each, each.id in image.kept) for each in image.generations),
        "Kernel": image.kernel,
        "Size": image.size,
        "StaleBecause": image.stale_because,
        "Job": object_path("job", image.job) if image.job else NO_OBJECT,
    }


def _generation(generation: Generation, kept: bool) -> Mapping[str, Typed]:
    return {
        "Id": Typed("s", generation.id),
        "Created": Typed("t", int(generation.created * 1_000_000)),
        "Source": Typed("s", generation.source),
        "Architecture": Typed("s", generation.architecture),
        "Kernel": Typed("s", generation.kernel),
        "Size": Typed("t", generation.size),
        "Layers": Typed("u", len(generation.layers)),
        "Directory": Typed("s", generation.directory),
        "Summary": Typed("s", generation.summary),
        "Kept": Typed("b", kept),
        "Notes": Typed("as", generation.notes),
    }


def setting(each: Setting) -> Mapping[str, Typed]:
    """Return a setting as ExplainConfig tells it."""
    return {
        "Name": Typed("s", each.name),
        "Value": Typed("s", each.value),
        "File": Typed("s", each.file),
        "Line": Typed("u", each.line),
        "Withheld": Typed("b", each.withheld),
    }


def finding(each: ConfigFinding) -> Mapping[str, Typed]:
    """Return a finding as CheckConfig tells it."""
    return {
        "Severity": Typed("s", each.severity),
        "File": Typed("s", each.file),
        "Line": Typed("u", each.line),
        "Column": Typed("u", each.column),
        "Message": Typed("s", each.message),
    }


def _link(link: LinkState) -> Mapping[str, Any]:
    return {
        "Name": link.name,
        "Index": link.index,
        "State": link.state,
        "Addresses": link.addresses,
        "Dhcp": str(link.dhcp),
    }


def _client(client: ClientState) -> Mapping[str, Any]:
    return {
        "Mac": client.mac,
        "Hostname": client.hostname,
        "Address": client.address,
        "Image": client.image,
        "Generation": client.generation,
        "Stage": client.stage,
        "LastSeen": client.last_seen,
        "Transport": client.transport,
        "Error": client.error,
    }


def _output(output: OutputStatus) -> Mapping[str, Any]:
    return {
        "Name": output.name,
        "Paths": output.paths,
        "Unit": output.unit,
        "State": str(output.state),
        "Message": output.message,
        "AppliedAt": output.applied_at,
    }


def _job(job: Job) -> Mapping[str, Any]:
    return {
        "Id": job.id,
        "Kind": job.kind,
        "Subject": job.subject,
        "StartedBy": job.started_by,
        "State": str(job.state),
        "Phase": job.phase,
        "Progress": job.progress,
        "BytesDone": job.bytes_done,
        "BytesTotal": job.bytes_total,
        "Error": (job.error_name, job.error),
        "Result": job.result,
        "StartedAt": job.started_at,
        "FinishedAt": job.finished_at,
    }
