"""What was seen of one machine, where it stopped, and what that usually means. Pure.

The steps come from the listener, the stages from the machine itself. What another server on its own said to
it is known only if its answer went to everybody.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from fnmatch import fnmatchcase

from ltspd.clients.fields import ClientStage
from ltspd.clients.seen import SECOND
from ltspd.model.client import ClientState, Server, Stage, Step, Word
from ltspd.model.finding import Finding, Severity
from ltspd.model.network import DhcpRole, Network, ServedLink

# A machine that did something within this time is under way. A step takes seconds; an image to RAM, minutes.
UNDER_WAY = 30 * SECOND
# Steps that are older than the last one by this belong to an earlier attempt.
ATTEMPT = 600 * SECOND
# So many requests for one file mean that it does not arrive. iPXE and firmware ask for its size first.
UNANSWERED = 3
# The numbers of UEFI that shim is for.
_SHIM = frozenset({7, 9, 16})
_FIRMWARE = {
    0: "BIOS",
    6: "UEFI, 32 bits",
    7: "UEFI",
    9: "UEFI",
    10: "UEFI, ARM 32 bits",
    11: "UEFI, ARM 64 bits",
    15: "UEFI by HTTP, 32 bits",
    16: "UEFI by HTTP",
    18: "UEFI by HTTP, ARM 32 bits",
    19: "UEFI by HTTP, ARM 64 bits",
}


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a machine's trouble may come from. ``files`` are those that TFTP has, ``leases`` those given now.

    ``addresses`` are this server's. ``bootable`` are the numbers of firmware that something is installed for.
    """

    network: Network
    addresses: frozenset[str] = frozenset()
    servers: tuple[Server, ...] = ()
    files: frozenset[str] = frozenset()
    leases: int = 0
    bootable: frozenset[int] = frozenset()
    images: tuple[str, ...] = ()


@dataclass(slots=True)
class _Case:
    """One machine's last attempt."""

    client: ClientState
    around: Surroundings
    steps: Sequence[Step] = field(default=())

    def did(self, *words: Word) -> list[Step]:
        return [each for each in self.steps if each.word in words]

    @property
    def link(self) -> ServedLink | None:
        served = self.around.network.served
        return next((each for each in served if each.link == self.client.seen.link), None)

    @property
    def firmware(self) -> str:
        number = self.client.seen.architecture
        return _FIRMWARE.get(number, f"firmware of architecture {number}" if number >= 0 else "firmware")

    def others(self, *words: Word) -> list[str]:
        """Return the servers but this one that did something."""
        found = (each.server for each in self.did(*words))
        return list(dict.fromkeys(each for each in found if each and each not in self.around.addresses))


def unknown(name: str, network: Network) -> tuple[Finding, ...]:
    """Return what it means that nothing was ever heard of a machine."""
    links = ", ".join(each.link for each in network.served) or "no interface"
    return (
        Finding(
            Severity.ERROR,
            f"client {name}",
            f"nothing was heard of it since ltspd started; it listens on {links}.",
            "Look whether its cable leads there, whether network boot comes first in its firmware, "
            "and whether "
            "the switch's port is on at once (spanning tree: 'portfast'). If it was on all the time: "
            "ask again after its next boot.",
        ),
    )


def about(client: ClientState, around: Surroundings, now: int) -> tuple[Finding, ...]:
    """Return what was seen of a machine, and where it stopped."""
    last = max((each.last for each in client.seen.steps), default=0)
    steps = [each for each in client.seen.steps if last - each.last < ATTEMPT]
    case = _Case(client, around, steps)
    subject = f"client {client.hostname or client.mac}"
    seen = [Finding(Severity.INFO, subject, _told(each, case)) for each in steps]
    if client.stage and client.stage not in list(Stage):
        seen.append(Finding(Severity.INFO, subject, _reported(client)))
    if client.failed:
        text = f"its last boots, {client.failed} in a row, have failed with the boot program of BOOT_WAY="
        seen.append(Finding(Severity.INFO, subject, f"{text}{client.way}."))
    severity, cause, step = _stopped(case, now)
    return (*seen, Finding(severity, subject, cause, step))


def _clock(at: int) -> str:
    return datetime.fromtimestamp(at / SECOND).strftime("%H:%M:%S")


def _told(step: Step, case: _Case) -> str:
    times = f" ({step.times} times)" if step.times > 1 else ""
    who = "this server" if step.server in case.around.addresses else step.server or "a server"
    with_file = f", with the file {step.text}" if step.text else ", without a file to boot"
    match step.word:
        case Word.DISCOVER:
            asks = "iPXE" if step.text.startswith("iPXE") else f"its firmware ({case.firmware})"
            text = f"{asks} asked for an address on {case.client.seen.link}"
        case Word.OFFER:
            text = f"{who} offered {step.address or 'no address'}{with_file}"
        case Word.REQUEST:
            text = f"it took the offer of {who}: {step.address or 'an address'}"
        case Word.LEASE:
            text = f"{who} gave it {step.address or 'no address'}{with_file}"
        case Word.REFUSED:
            text = f"{who} refused it the address that it wanted"
        case Word.ASK:
            text = f"it asked {who} what to boot (port 4011)"
        case Word.BOOT:
            text = f"{who} told it what to boot (port 4011){with_file}"
        case Word.FETCH:
            text = f"it asked {who} for {step.text} by TFTP"
    return f"{_clock(step.at)} {text}{times}."


def _reported(client: ClientState) -> str:
    texts = {
        ClientStage.NETWORK: "it reported that it has a network",
        ClientStage.ROOT: f"it reported that the root of {client.image or 'its image'} is mounted",
        ClientStage.LOGIN: f"it reported that people can log in ({client.image or 'unknown image'})",
        ClientStage.OFF: "it reported that it is being shut down",
        ClientStage.FAILED: "it reported that it can't boot",
    }
    return f"{_clock(client.last_seen)} {texts.get(ClientStage(client.stage), client.stage)}."


def _stopped(case: _Case, now: int) -> tuple[Severity, str, str]:
    client = case.client
    if client.stage == ClientStage.FAILED:
        why = client.error or "it gave no reason."
        return Severity.ERROR, f"it can't boot: {why}", "Mend that; it tries again every minute."
    if client.stage in (ClientStage.LOGIN, ClientStage.OFF):
        return Severity.INFO, "it came all the way to the login.", ""
    if not case.around.network.serving:
        return Severity.ERROR, "serving is off, so it was not answered.", "'ltspctl serve on'."
    if now - client.last_seen < UNDER_WAY:
        return Severity.INFO, "it is under way.", "Ask again in half a minute."
    found = {
        "": _silent,
        Stage.DISCOVER: _no_offer,
        Stage.OFFER: _no_lease,
        Stage.LEASE: _no_fetch,
        Stage.TFTP: _no_report,
        ClientStage.NETWORK: _no_root,
        ClientStage.ROOT: _no_login,
    }.get(client.stage, _silent)
    causes = list(found(case))
    return (Severity.ERROR, *causes[0])


Causes = Iterator[tuple[str, str]]


def _silent(case: _Case) -> Causes:
    yield "it has told nothing since ltspd started.", "Ask again after its next boot."


def _no_offer(case: _Case) -> Causes:
    """Yield the likely causes of a DISCOVER without an answer, the surest first."""
    network, link, mac = case.around.network, case.link, case.client.mac
    if any(fnmatchcase(mac, each) for each in network.denied):
        yield "nobody answered: ltsp.conf denies its MAC address.", "Take it out of the denied ones."
    if network.allowed and not any(fnmatchcase(mac, each) for each in network.allowed):
        yield "nobody answered: ltsp.conf allows others only.", "Add its MAC address to the allowed ones."
    if link is None:
        name = case.client.seen.link or "its interface"
        yield (
            f"nobody answered: {name} is not served now.",
            f'Give {name} an address, or a role: DHCP_LINKS="{name}=real" in [server] of ltsp.conf.',
        )
        return
    if case.did(Word.REFUSED):
        yield (
            "a server refused the address that it wanted, and offered no other.",
            "Switch it off and on; if that does not help, look for a second DHCP server: 'ltspctl doctor'.",
        )
    number = case.client.seen.architecture
    if link.role is DhcpRole.PROXY and number >= 0 and number not in case.around.bootable:
        yield (
            f"this server has no boot program for {case.firmware}, so it did not answer.",
            "Install one ('ipxe'; docs/boot.md names the others), then 'ltspctl apply'.",
        )
    if link.first is not None and link.last is not None:
        room = int(link.last) - int(link.first) + 1
        if case.around.leases >= room:
            yield (
                f"nobody answered: all {room} addresses of {link.first}-{link.last} are given.",
                f'Widen the range (DHCP_LINKS="{link.link}=real:FIRST-LAST"), or shorten DHCP_LEASE=.',
            )
    yield (
        "nobody answered, though this server should: a firewall drops UDP port 67, or the server "
        "does not run.",
        "'ltspctl doctor' looks at both, and 'ltspctl output list' names the unit whose journal tells more.",
    )


def _no_lease(case: _Case) -> Causes:
    link = case.link
    if others := case.others(Word.REQUEST, Word.LEASE):
        yield _rival(others)
    gave = [each for each in case.did(Word.OFFER) if each.address]
    if link is not None and link.role is DhcpRole.PROXY and not gave:
        yield (
            "this server told it what to boot, but nobody was heard to give it an address.",
            f"Look at the network's DHCP server; if there is none, this one gives them with "
            f'DHCP_LINKS="{link.link}=real".',
        )
    if others := case.others(Word.OFFER):
        yield _rival(others)
    yield (
        "it did not take the offer of this server.",
        "Look whether answers reach it: the switch (its port's VLAN, 'DHCP snooping' must trust this "
        "server's port), a firewall that drops outgoing UDP port 68.",
    )


def _rival(others: Sequence[str]) -> tuple[str, str]:
    return (
        f"another DHCP server answered it: {', '.join(others)}.",
        "Switch DHCP off there, or network boot; 'ltspctl status' names the servers that were heard.",
    )


def _no_fetch(case: _Case) -> Causes:
    file, server = case.client.seen.file, case.client.seen.server
    number = case.client.seen.architecture
    if not file:
        if others := case.others(Word.LEASE, Word.REQUEST):
            yield _rival(others)
        if number >= 0 and number not in case.around.bootable:
            yield (
                f"it has an address, but this server has no boot program for {case.firmware}.",
                "Install one ('ipxe'; docs/boot.md names the others), then 'ltspctl apply'.",
            )
        yield (
            "it has an address, but was told nothing to boot.",
            "Look at 'ltspctl status': DHCP there must be in sync. Then switch the machine off and on.",
        )
    if server and server not in case.around.addresses:
        yield _rival([server])
    if file.startswith("http:"):
        yield (
            f"it was told to fetch {file}; no system has reported since.",
            f"'journalctl -u ltspd-gateway' shows whether the request came. If it came: {_secure(number)}",
        )
    yield (
        f"it was told to fetch {file} and has not asked for it.",
        "Its firmware gave up, or asks another machine: look at what its screen says (PXE-E…), and whether "
        "another DHCP server was heard ('ltspctl doctor').",
    )


def _no_report(case: _Case) -> Causes:
    fetched = case.did(Word.FETCH)
    if others := case.others(Word.FETCH):
        yield _rival(others)
    last = max(fetched, key=lambda each: each.last, default=None)
    if last is not None and case.around.files and last.text.lstrip("/") not in case.around.files:
        yield (
            f"it asked for {last.text}, and there is no such file.",
            "'ltspctl apply' puts boot files in place; a name that is not ltsp/… was told by another server.",
        )
    if last is not None and last.times >= UNANSWERED:
        yield (
            f"it asked {last.times} times for {last.text}: it does not arrive.",
            "'ltspctl doctor' looks for a firewall that drops UDP port 69, and whether the TFTP "
            "server answers.",
        )
    ipxe = any(each.text.startswith("iPXE") for each in case.did(Word.DISCOVER))
    if ipxe and not case.around.images:
        yield "iPXE runs, and there is no image to boot.", "Build one: 'ltspctl image build NAME'."
    if ipxe:
        yield (
            "iPXE runs and got the menu's name; no system has reported since: it waits in the menu, "
            "or kernel and initrd did not arrive.",
            "Look at its screen. 'journalctl -u ltspd-gateway' shows whether it fetched them by "
            "HTTP; a firewall may drop TCP port 80; memory of less than 512 MB does not hold them.",
        )
    if case.client.seen.architecture in (7, 9, 11):
        yield (
            f"it fetched {last.text if last else 'its program'}, and that did not run.",
            f"Look at its screen: {_secure(case.client.seen.architecture)}",
        )
    yield (
        f"it fetched {last.text if last else 'its program'}, and nothing came after that.",
        "Look at its screen; its card may need another boot program (docs/boot.md).",
    )


def _secure(architecture: int) -> str:
    """Return what to do about a program that UEFI got and did not start."""
    step = (
        "BOOT_WAY=shim in its section of ltsp.conf gives it a signed one (docs/secure-boot.md); or switch "
        "Secure Boot off."
        if architecture in _SHIM
        else "There is no signed one for it here: switch Secure Boot off."
    )
    return f"firmware with Secure Boot refuses programs that are not signed for it. {step}"


def _no_root(case: _Case) -> Causes:
    yield (
        f"its kernel runs and has a network, but its root ({case.client.transport or '?'}) was not mounted.",
        "Look at its screen; 'ltspctl doctor' looks for a firewall that drops NFS, NBD or HTTP.",
    )


def _no_login(case: _Case) -> Causes:
    yield (
        "its root is mounted, but its system has not come to a login.",
        f"Look at its screen; 'ltspctl image test {case.client.image or 'IMAGE'}' boots the image in "
        "a virtual machine and shows what it says.",
    )
