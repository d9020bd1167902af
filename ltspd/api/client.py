"""``Client``: a machine that boots from this server, as it reports itself. Pure."""

from collections.abc import Mapping
from operator import attrgetter
from typing import Protocol

from ltspd.api import noun, order
from ltspd.api.noun import CONTROL_CLIENT, Call, Method, Noun, Property
from ltspd.clients.enrolment import fingerprint
from ltspd.clients.stages import stages
from ltspd.errors import NoKey, NotObeyed
from ltspd.model.client import ClientState
from ltspd.model.state import State
from ltspd.names import interface


class Core(order.Core, noun.Core, Protocol):
    """What the methods of a client need."""

    async def approve_client(self, mac: str, key: str) -> None:
        """Let the key with this fingerprint be a client's, if it reported that last; raises NoKey."""

    async def forget_client(self, mac: str) -> None:
        """Have the next key that a client reports be its first one, and its boot program, too."""


async def _order(core: Core, client: ClientState, call: Call) -> str:
    verb, options = call.arguments
    return await order.give(core, verb, [client.mac], options, call.uid)


def _of_order(client: ClientState, call: Call) -> Mapping[str, str]:
    verb, options = call.arguments
    return order.details(State("", clients=(client,)), verb, [client.mac], options)


async def _approve(core: Core, client: ClientState, call: Call) -> None:
    await core.approve_client(client.mac, call.arguments[0])


async def _forget(core: Core, client: ClientState, _call: Call) -> None:
    await core.forget_client(client.mac)


def _details(client: ClientState) -> Mapping[str, str]:
    return {"client": client.hostname or client.mac, "mac": client.mac}


def _of_approval(client: ClientState, _call: Call) -> Mapping[str, str]:
    return {**_details(client), "verb": "approve"}


def _of_forgetting(client: ClientState, _call: Call) -> Mapping[str, str]:
    return {**_details(client), "verb": "forget"}


NOUN: Noun[ClientState] = Noun(
    name=interface("Client"),
    objects=attrgetter("clients"),
    key=attrgetter("mac"),
    details=_details,
    methods=(
        Method(
            name="Order",
            inputs="s verb, a{sv} options",
            outputs="o job",
            run=_order,
            action=CONTROL_CLIENT,
            details=_of_order,
            options=order.OPTIONS,
            doc=f"""Tell this client to do something, and return the job that waits for its answer.
                {order.DOC}""",
            errors=order.ERRORS,
            job_errors=(NotObeyed,),
            since="0.3.0",
        ),
        Method(
            name="Approve",
            inputs="s key",
            run=_approve,
            action=CONTROL_CLIENT,
            details=_of_approval,
            doc="""Let a key be this client's, whatever was known before. It is named by its fingerprint, and
                must be Key, or else it is another one than was looked at. A key that the client keeps counts
                from now on, another one until its boot ends.""",
            errors=(NoKey,),
            since="0.3.0",
        ),
        Method(
            name="Forget",
            run=_forget,
            action=CONTROL_CLIENT,
            details=_of_forgetting,
            doc="""Forget the key of this client: it opens no account any more, and the next one that the
                client reports, at its next boot at the latest, is judged as its first one. Since 0.5.0, what
                is known of its boots is forgotten, too, so that it gets its first boot program again.""",
            since="0.3.0",
        ),
    ),
    properties=(
        Property(
            "Mac",
            "s",
            attrgetter("mac"),
            "The boot interface's MAC address, in lower case with colons.",
            emits="const",
        ),
        Property("Hostname", "s", attrgetter("hostname"), "Empty until the client reports it."),
        Property(
            "Address", "s", attrgetter("address"), "Its IPv4 address, as it reported; before that, Lease."
        ),
        Property(
            "Image",
            "s",
            attrgetter("image"),
            "Name of the image that it booted; empty if there is no such image here.",
        ),
        Property("Generation", "s", attrgetter("generation"), "Id of that image's generation."),
        Property(
            "Stage",
            "s",
            attrgetter("stage"),
            "How far it is. As heard on the network: discover (it asks for an address), offer (a server "
            "offers one), lease (it has one), tftp (it fetches files). As it reports itself: network (it has "
            "an address), root (its root is mounted, the distribution starts), login (people can log in), "
            "off (it is being shut down), failed (it can't "
            "boot, see Error).",
        ),
        Property(
            "LastSeen",
            "t",
            attrgetter("last_seen"),
            "When it last reported something, or was last seen with a connection to its root. Clients send "
            "nothing while all is well, so a running client may not have reported anything for days.",
        ),
        Property(
            "Transport", "s", attrgetter("transport"), "How its root gets to it: nfs, nfsdir, nbd, http."
        ),
        Property(
            "Error",
            "s",
            attrgetter("error"),
            "Why it can't boot, or what it runs short of while Stage is login, in its own words.",
        ),
        Property(
            "Key",
            "s",
            lambda client: fingerprint(client.key),
            "Fingerprint of the key that it reported last, as ssh-keygen shows it; empty: it reported none.",
            since="0.3.0",
        ),
        Property(
            "Identity",
            "s",
            lambda client: str(client.identity),
            "What its key counts for: none, boot (until its boot ends), kept (it keeps the key), pending (it "
            "waits for Approve), refused (another key is known as this client's).",
            since="0.3.0",
        ),
        Property(
            "Room",
            "s",
            lambda client: next(iter(client.rooms), ""),
            "The room that it is in by ltsp.conf, the first if there are several; empty: none.",
            since="0.3.0",
        ),
        Property(
            "Rooms", "as", attrgetter("rooms"), "All rooms that it is in, in the file's order.", since="0.3.0"
        ),
        Property(
            "Order",
            "s",
            attrgetter("order"),
            "Id of the last order to it, which is that of the job, too; empty: none since ltspd started.",
            since="0.3.0",
        ),
        Property(
            "Result",
            "s",
            attrgetter("result"),
            "What came of that order: ok, or why not, as a sentence; empty until that is known.",
            since="0.3.0",
        ),
        Property(
            "Pending",
            "as",
            lambda each: tuple(each.pending.split()),
            "Names of the settings that ltsp.conf has changed for it since its boot, and that count at its "
            "next one. Others count at once.",
            since="0.3.0",
        ),
        Property(
            "Card",
            "s",
            attrgetter("card"),
            "What its kernel calls the network card that it booted by (modalias); empty: not reported.",
            since="0.6.0",
        ),
        Property(
            "Initrd",
            "s",
            attrgetter("initrd"),
            "Which drivers of network cards it was given in its boot initrd, and why: only those of its "
            "card, or all. Empty: that is not known, or it was fetched without a word of its card.",
            since="0.6.0",
        ),
        Property(
            "Link",
            "s",
            lambda each: each.seen.link,
            "The interface on which it was heard last; empty: on none since ltspd started.",
            since="0.4.0",
        ),
        Property(
            "Architecture",
            "i",
            lambda each: each.seen.architecture,
            "DHCP's number of its firmware's architecture (option 93): 0 BIOS, 7 UEFI …; -1: unknown.",
            since="0.4.0",
        ),
        Property(
            "Lease", "s", lambda each: each.seen.lease, "The address that DHCP gave it last.", since="0.4.0"
        ),
        Property("LeaseExpires", "t", lambda each: each.seen.expires, "When that lease ends.", since="0.4.0"),
        Property(
            "LeaseServer",
            "s",
            lambda each: each.seen.server,
            "The address of the server that answered its firmware last, which may be another one.",
            since="0.4.0",
        ),
        Property(
            "BootFile", "s", lambda each: each.seen.file, "What it was told to boot last.", since="0.4.0"
        ),
        Property(
            "BootWay",
            "s",
            attrgetter("way"),
            "The boot program of its next boot, as BOOT_WAY in ltsp.conf names them: what that says, or what "
            "was found for it because others had failed (BOOT_TRIES).",
            since="0.5.0",
        ),
        Property(
            "FailedBoots",
            "u",
            attrgetter("failed"),
            "How many of its boots have failed in a row by that program: it was fetched, and no system came.",
            since="0.5.0",
        ),
        Property(
            "Stages",
            "a{st}",
            stages,
            "When the boot that it is in, or was last in, came to each Stage, as far as ltspd has heard of "
            "it since it started.",
            since="0.6.0",
        ),
    ),
)
