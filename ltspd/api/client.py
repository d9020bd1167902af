"""``Client``: a machine that boots from this server, as it reports itself. Pure."""

from operator import attrgetter

from ltspd.api.noun import Noun, Property
from ltspd.model.client import ClientState
from ltspd.names import interface

NOUN: Noun[ClientState] = Noun(
    name=interface("Client"),
    objects=attrgetter("clients"),
    key=attrgetter("mac"),
    properties=(
        Property(
            "Mac",
            "s",
            attrgetter("mac"),
            "The boot interface's MAC address, in lower case with colons.",
            emits="const",
        ),
        Property("Hostname", "s", attrgetter("hostname"), "Empty until the client reports it."),
        Property("Address", "s", attrgetter("address"), "Its IPv4 address."),
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
            "The last stage that it reported: network (it has an address), root (its root is mounted, the "
            "distribution starts), login (people can log in), off (it is being shut down), failed (it can't "
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
            "Why it can't boot, in its own words; empty unless Stage is failed.",
        ),
    ),
)
