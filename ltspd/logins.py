"""Which accounts each client opens by its own key: what ltsp.conf says, as far as accounts allow. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from ipaddress import AddressValueError, IPv4Address, IPv4Interface

from ltspd.config.autologin import AUTOLOGIN, PASSWORDS
from ltspd.config.configuration import Config
from ltspd.config.document import Document, Host
from ltspd.config.evaluate import Index, effective
from ltspd.config.hostnames import fill_hostname
from ltspd.config.parameter import SERVER, Parameter, Settings
from ltspd.config.readers import choice
from ltspd.config.secrecy import withheld
from ltspd.model.client import Enrol, Enrolled
from ltspd.model.desired import Opening
from ltspd.model.facts import Facts
from ltspd.model.state import Problem

ENROL = Parameter(
    "ENROL",
    choice("when clients' keys count", Enrol),
    "auto",
    SERVER,
    "Whose keys count: the first of each client (auto), approved ones (ask), none (off)",
)
# Problems that are shown; one more line counts the others.
PROBLEMS_MOST = 5


def openings(config: Config, facts: Facts, problems: list[Problem]) -> tuple[Opening, ...]:
    """Return which key opens which account, for as long as ltsp.conf says so."""
    if not are_given(config.document):
        return ()
    if config.settings[ENROL] is Enrol.OFF:
        text = (
            "it opens no account, because no client's key counts (ENROL=off). Take either out of ltsp.conf."
        )
        problems.append(Problem("AUTOLOGIN", text))
        return ()
    why: dict[str, str] = {}
    found = tuple(dict.fromkeys(_openings(config.document, facts, why)))
    problems += [Problem("AUTOLOGIN", each) for each in list(why.values())[:PROBLEMS_MOST]]
    if (more := len(why) - PROBLEMS_MOST) > 0:
        problems.append(Problem("AUTOLOGIN", f"{more} more accounts are not opened for reasons like these."))
    return found


def accounts(document: Document) -> tuple[str, ...]:
    """Return the accounts that are named outright: a directory may know them, and list nobody."""
    found: dict[str, None] = {}
    for each in (each for section in document.sections for each in section.assignments):
        if AUTOLOGIN.fits(each.name) and each.text and not AUTOLOGIN.problem(each.text):
            auto = AUTOLOGIN.reader.read(each.text)
            found |= dict.fromkeys([auto.user] if auto is not None and not auto.pattern else ())
        elif PASSWORDS.fits(each.name) and each.text:
            found |= dict.fromkeys(PASSWORDS.reader.read(each.text))
    return tuple(found)


def are_given(document: Document) -> bool:
    """Return whether some client may open an account, so that a new key makes a difference."""
    return any(
        AUTOLOGIN.fits(each.name) or PASSWORDS.fits(each.name)
        for section in document.sections
        for each in section.assignments
    )


def _openings(document: Document, facts: Facts, why: dict[str, str]) -> Iterator[Opening]:
    index, hidden = Index(document), withheld(document)
    known = {each.name: each for each in facts.accounts}
    owners = _owners(facts.enrolled)
    for client in facts.enrolled:
        shown = client.hostname or client.mac
        # Anybody can take an address. It says nothing of a machine while it is that of another known one.
        own = owners.get(client.address, client.mac) == client.mac
        host = Host(client.mac, client.address if own else "")
        values = {name: value.text for name, value in effective(index, host).items()}
        texts = {name: text for name, text in values.items() if name not in hidden or PASSWORDS.fits(name)}
        here = client if own else replace(client, address="")
        wanted = _named(Settings(texts), values.get("HOSTNAME", ""), here, facts, why)
        for name in dict.fromkeys(wanted):
            if name not in known:
                why.setdefault(
                    name, f"{shown} opens the account {name}, and there is none; make it, or correct that."
                )
            elif closed := facts.closed.get(name):
                why.setdefault(name, f"{shown} opens the account {name}, but it {closed}, so nobody gets in.")
            else:
                yield Opening(name, client.key, client.mac)


def _owners(enrolled: tuple[Enrolled, ...]) -> Mapping[str, str]:
    """Return which machine an address belongs to: the first one whose key is kept, and was seen there."""
    owners: dict[str, str] = {}
    for client in enrolled:
        if client.kept and client.address:
            owners.setdefault(client.address, client.mac)
    return owners


def _named(
    settings: Settings, hostname: str, client: Enrolled, facts: Facts, why: dict[str, str]
) -> Iterator[str]:
    """Yield the accounts that settings name. Only a name that ltsp.conf gives says something of a machine."""
    auto = settings[AUTOLOGIN]
    if auto is not None:
        if account := auto.account(_hostname(hostname, client, facts)):
            yield account
        elif not hostname and auto.account(client.hostname):
            why.setdefault(
                client.mac,
                f"{client.hostname} has this name from a DHCP server or from itself, so AUTOLOGIN="
                f"{auto.pattern}/{auto.user} opens nothing to it; give it a HOSTNAME= in ltsp.conf.",
            )
    for names in settings.family(PASSWORDS).values():
        yield from names


def _hostname(text: str, client: Enrolled, facts: Facts) -> str:
    """Return the name that ltsp.conf gives a client, or LTSP's default; empty if its network is not ours."""
    try:
        address = IPv4Address(client.address)
    except AddressValueError:
        return ""
    networks = (each.network for link in facts.links for each in link.addresses)
    for network in networks:
        if address in network:
            return fill_hostname(text, client.mac, IPv4Interface((address, network.prefixlen)))
    return ""
