"""What a pass observed and did -> the State that is published. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from types import MappingProxyType

from ltspd.image.store.manifest import stale_because
from ltspd.model.client import Server
from ltspd.model.desired import Desired
from ltspd.model.facts import Facts
from ltspd.model.image import Image, ImageState, Source, SourceKind
from ltspd.model.job import Job
from ltspd.model.network import DhcpRole, Link, LinkKind, LinkState
from ltspd.model.order import Verb
from ltspd.model.output import OutputState, OutputStatus
from ltspd.model.state import Problem, ServerState, State

_ORDERS = frozenset(Verb)


def links(
    facts: Facts, desired: Desired, lines: Mapping[str, Mapping[str, str]] = MappingProxyType({})
) -> tuple[LinkState, ...]:
    """Return every link but loopback, with its DHCP role, and its ``lines`` for other servers."""
    roles = {each.link: each.role for each in desired.network.answered}
    return tuple(
        LinkState(
            name=link.name,
            index=link.index,
            state=_link_state(link),
            addresses=tuple(str(address) for address in link.addresses),
            dhcp=roles.get(link.name, DhcpRole.OFF),
            lines=lines.get(link.name, {}),
        )
        for link in facts.links
        if link.kind is not LinkKind.LOOPBACK
    )


def with_servers(found: Iterable[LinkState], servers: Iterable[Server]) -> tuple[LinkState, ...]:
    """Return links with the other DHCP servers that were heard there, but not when, as that changes often."""
    heard = [each._replace(heard=0) for each in servers]
    links = tuple(found)
    own = {address.partition("/")[0] for link in links for address in link.addresses}
    # Machines name the server whose answer they took, which may be this one.
    others = [each for each in heard if each.mac or each.address not in own]
    return tuple(
        replace(link, servers=tuple(each for each in others if each.link == link.name)) for link in links
    )


def _link_state(link: Link) -> str:
    if not link.up:
        return "down"
    return "routable" if link.default_route else "up"


def images(facts: Facts, jobs: Iterable[Job]) -> tuple[ImageState, ...]:
    """Return built images, and sources that were never built, by name."""
    built = {image.name: image for image in facts.images}
    sources = {source.name: source for source in facts.sources}
    # The subject of an order to clients may have the name of an image.
    running = {job.subject: job.id for job in jobs if not job.state.final and job.kind not in _ORDERS}
    return tuple(
        _image(name, built.get(name), sources.get(name), facts, running.get(name, ""))
        for name in sorted(built.keys() | sources.keys())
    )


def _image(name: str, image: Image | None, source: Source | None, facts: Facts, job: str) -> ImageState:
    current = image.current_generation if image is not None else None
    return ImageState(
        name=name,
        source=source.path if source is not None else (current.source if current is not None else ""),
        current=current.id if current is not None else "",
        generations=image.generations if image is not None else (),
        kernel=current.kernel if current is not None else "",
        size=current.size if current is not None else 0,
        stale_because=_stale(image, source, facts),
        job=job,
        kept=image.kept if image is not None else frozenset(),
    )


def _stale(image: Image | None, source: Source | None, facts: Facts) -> str:
    if source is None:
        return ""
    reason = stale_because(image or Image(source.name, ()), facts.source_packages.get(source.name, ""))
    if source.kind is SourceKind.DISK:
        return reason.replace("packages changed", "the disk image changed")
    return reason


def problems(
    config: Iterable[Problem], desired: Iterable[Problem], outputs: Iterable[OutputStatus]
) -> tuple[str, ...]:
    """Return the lines of Problems: configuration first, then the network, then each failing output."""
    bad = (OutputState.FAILED, OutputState.EDITED)
    failing = (Problem(f"output {each.name}", each.message) for each in outputs if each.state in bad)
    return tuple(dict.fromkeys(str(problem) for problem in (*config, *desired, *failing)))


def of_gateway(told: tuple[Problem, ...], outputs: Iterable[OutputStatus]) -> tuple[Problem, ...]:
    """Return the gateway's problems while it runs; a gateway that doesn't run is its output's problem."""
    runs = any(each.name == "http" and each.state is OutputState.IN_SYNC for each in outputs)
    return told if runs else ()


def status(state: State) -> str:
    """Return the line that ``systemctl status`` shows."""
    if state.state is ServerState.ATTENTION:
        return f"Needs attention: {state.problems[0] if state.problems else '?'}"
    if not state.serving:
        return f"{state.state}: serving is off, machines that boot get no answer"
    serving = [link.name for link in state.links if link.dhcp != "off"]
    built = sum(1 for image in state.images if image.current)
    return f"{state.state}: {built} image(s) on {', '.join(serving) or 'no interface'}"
