"""LTSP's parameters that mean nothing here: why, and what does it now. Pure.

While a module declares one of these names it counts, and what is said here does not.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple


class Former(NamedTuple):
    """``why`` it means nothing, and what does it now (``step``). ``agreeing``: what is done anyway."""

    why: str
    step: str
    agreeing: tuple[str, ...] = ()


_LOGINS = "clients ask the server that they booted from, by a PAM module of their own"
_LOGIN_STEP = "LOGIN and LOGIN_PORT in [server] are the settings of logins"

FORMER: Mapping[str, Former] = MappingProxyType(
    {
        "BASE_DIR": Former(
            "sources and images are always below /srv/ltsp",
            "write 'DIRECTORY /srv/ltsp none bind 0 0' into /etc/fstab and 'mount /srv/ltsp'",
            ("/srv/ltsp", "/srv/ltsp/"),
        ),
        "TFTP_DIR": Former(
            "TFTP always serves /srv/tftp",
            "mount the other directory there: a line with bind in /etc/fstab",
            ("/srv/tftp", "/srv/tftp/"),
        ),
        "BINARIES": Former("boot programs are compared each time", "take it out", ("1",)),
        "BACKUP": Former(
            "earlier generations are kept by themselves", "KEEP_GENERATIONS says how many", ("1",)
        ),
        "CLEANUP": Former(
            "images never hold accounts and secrets, because everyone can read them",
            "OMIT_IMAGE_EXCLUDES names files that are to be in all the same",
            ("1",),
        ),
        "IN_PLACE": Former("a source is never changed", "take it out"),
        "OVERWRITE": Former(
            "files that were changed by hand are told, and never overwritten unasked",
            "'ltspctl apply --force' overwrites them",
            ("0",),
        ),
        "NFS_TFTP": Former("clients take nothing of TFTP's directory by NFS", "take it out", ("0",)),
        "HTTP": Former(
            "clients get kernels by HTTP, and by TFTP where that fails", "HTTP_PORT is its port", ("1",)
        ),
        "HTTP_IMAGE": Former("how roots come is one setting now", "write ROOT_TRANSPORT=http", ("0",)),
        "HTTP_IMAGES": Former(
            "whatever a client needs of an image can be fetched by HTTP",
            "ROOT_TRANSPORT=http makes it the way of the root",
            ("1",),
        ),
        "HTTP_TFTP": Former("whatever a boot needs can be fetched by HTTP", "take it out", ("1",)),
        "HTTP_INDEX": Former(
            "HTTP serves only what clients need, and no lists of files", "take it out", ("0",)
        ),
        "IONICE": Former(
            "builds that begin by themselves have low priority",
            "'ltspctl image build --background' is one that you start",
        ),
        "MKSQUASHFS_PARAMS": Former(
            "layers are packed one way, so that they can be compared and folded",
            "ADD_IMAGE_EXCLUDES and /etc/ltsp/image.excludes say what is left out",
        ),
        "REVERT": Former("going back is a command", "'ltspctl image revert NAME' does it", ("0",)),
        "IMAGE": Former(
            "it was the file of a Raspberry Pi's root; which image a machine boots is said by other names",
            "write RPI_IMAGE=NAME in [server] for a Pi, DEFAULT_IMAGE=NAME for others",
        ),
        "OVERLAY": Former("a client can always write to its root, in RAM", "take it out", ("1",)),
        "HOSTNAME_PREFIX": Former("host names are one setting", "write HOSTNAME=PREFIX%{IP}"),
        "LTSP_DEBUG": Former(
            "it traces LTSP's code, and none of it runs here",
            "DEBUG_LOG=1 traces how a client is set up, and 'journalctl -u ltspd' shows what the server does",
        ),
        "LTSP_SKIP_SCRIPTS": Former(
            "it names scripts of LTSP, and none of them runs here",
            "OMIT_FUNCTIONS leaves parts of a client's set-up out",
        ),
        "SSHFS": Former(
            "where homes are is said by another name",
            "write HOME_KIND=mounted, local or guest for homes without SSHFS",
            ("1",),
        ),
        "MKHOMEDIR": Former(
            "a home's directory is made at the login, where HOME_KIND says that homes are",
            "take it out",
            ("1",),
        ),
        "READ_AHEAD_KB": Former("clients read 128 KiB ahead, as in LTSP", "take it out", ("128",)),
        "RELOGIN_TIMEOUT": Former(
            "how long AUTOLOGIN waits is chosen so that it works with each display manager", "take it out"
        ),
        "SYMLINK_SNAPS": Former(
            "snaps stay as the image has them", "install them into the image's source", ("0",)
        ),
        "ADMINISTRATIVE_CLIENT": Former(
            "no client writes to what images are made of",
            "change the source of the image on the server",
            ("0",),
        ),
        "ALL_IMAGES": Former("commands take any number of images", "take it out", ("1",)),
        "PAM_AUTH_TYPE": Former(_LOGINS, _LOGIN_STEP),
        "SSH_OPTIONS": Former(_LOGINS, _LOGIN_STEP),
        "SSH_SERVER": Former(_LOGINS, _LOGIN_STEP),
    }
)
