"""LTSP 5's commands under their names: each does what it meant, by ``ltsp``, or says what does it now.

One program with a link for each name (see Makefile); the name that it is called by tells which.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import PurePath
from typing import NamedTuple

from ltspd.api import remote as server
from ltspd.cli import ltsp
from ltspd.cli.answer import fail, guarded
from ltspd.cli.applets import APPLETS, Applet, Option, Usage, read

# Where LTSP 5 had its chroots; those of today are found by their names.
_CHROOTS = "/opt/ltsp/"
# What LTSP 5 configured and LTSP 19 did not have any more.
_NBD = Applet("nbd-server", "bring NBD exports up to date", outputs=("nbd",))

Given = Mapping[str, str]
# An applet with its options and arguments.
Call = tuple[Applet, Given, list[str]]


class Gone(Exception):
    """Nothing is to be done; the sentence says what does it now."""


class Old(NamedTuple):
    """One command: ``about`` says what it is now, ``call`` gives it from options and words, or raises Gone.

    Without ``options`` what stands behind the command makes no difference.
    """

    about: str
    call: Callable[[Given, list[str]], Call]
    options: tuple[Option, ...] = ()


def _flag(short: str, long: str, about: str) -> Option:
    return Option(short, long, "", about, True)


def _name(word: str) -> str:
    """Return the image's name for a chroot that was below /opt/ltsp."""
    return word.removeprefix(_CHROOTS) if word.removeprefix(_CHROOTS) else word


def _update_image(given: Given, words: list[str]) -> Call:
    if "exclude" in given:
        raise Gone("what is left out of images is in /etc/ltsp/image.excludes, and in ADD_IMAGE_EXCLUDES.")
    options = {"revert": "1"} if "revert" in given else {}
    if "base" in given:
        options["base-dir"] = given["base"]
    return APPLETS["image"], options, [_name(each) for each in words]


def _config(given: Given, words: list[str]) -> Call:
    match words:
        case ["dnsmasq"]:
            wanted = {"proxy-dhcp": "0"} if "no-proxy-dhcp" in given else {}
            wanted |= {"dns": "1"} if "enable-dns" in given else {}
            return APPLETS["dnsmasq"], wanted | _overwritten(given), []
        case ["nfs"]:
            return APPLETS["nfs"], _overwritten(given), []
        case ["nbd-server"]:
            return _NBD, _overwritten(given), []
        case ["lts.conf"]:
            raise Gone(
                "settings of clients are in /etc/ltsp/ltsp.conf, and 'ltspctl config import FILE' makes one "
                "of a lts.conf."
            )
        case ["isc-dhcp-server"]:
            raise Gone(
                "DHCP_SERVER=isc in [server] of ltsp.conf chooses that program; its file is made for it."
            )
    raise Usage("Say one of dnsmasq, isc-dhcp-server, lts.conf, nbd-server and nfs.")


def _overwritten(given: Given) -> dict[str, str]:
    return {"overwrite": "1"} if "overwrite" in given else {}


def _says(sentence: str) -> Old:
    def call(_given: Given, _words: list[str]) -> Call:
        raise Gone(sentence)

    return Old(sentence.removesuffix("."), call)


COMMANDS: Mapping[str, Old] = {
    "ltsp-build-client": _says(
        "'mmdebstrap SUITE /srv/ltsp/NAME' or any other installer makes a chroot, and "
        "'ltspctl image build NAME' its image; 'ltspctl image build /' takes this server itself."
    ),
    "ltsp-chroot": _says(
        "'systemd-nspawn -D /srv/ltsp/NAME' opens a chroot, and 'ltspctl image build NAME' gives clients "
        "what was changed there."
    ),
    "ltsp-config": Old(
        "`ltsp dnsmasq`, `ltsp nfs`, or for nbd-server the same; of lts.conf and isc-dhcp-server it says "
        "what there is instead",
        _config,
        (
            Option("d", "directory", "DIR", "accepted; there are no templates"),
            Option("l", "language", "LANG", "accepted; there are no templates"),
            _flag("o", "overwrite", "overwrite generated files that were edited"),
            _flag("q", "quiet", "accepted"),
            _flag("", "enable-dns", "checked against DNS of ltsp.conf, where it is set now"),
            _flag("", "no-proxy-dhcp", "checked against PROXY_DHCP of ltsp.conf, where it is set now"),
        ),
    ),
    "ltsp-info": Old("`ltsp info`", lambda *_: (APPLETS["info"], {}, [])),
    "ltsp-update-image": Old(
        "`ltsp image`, with the names of chroots, or `/` for this server itself",
        _update_image,
        (
            Option("b", "base", "PATH", "must be the daemon's"),
            _flag("c", "cleanup", "accepted; images never hold accounts and secrets"),
            Option("e", "exclude", "LIST", "refused; ADD_IMAGE_EXCLUDES of ltsp.conf is the place"),
            _flag("f", "config-nbd", "accepted; exports are made by themselves"),
            _flag("m", "no-compress", "accepted; layers are always compressed"),
            _flag("n", "no-backup", "accepted; KEEP_GENERATIONS of ltsp.conf is the place"),
            _flag("r", "revert", "make the generation before the current one current"),
        ),
    ),
    "ltsp-update-kernels": Old(
        "`ltsp kernel`: a kernel comes with its image's generation",
        lambda _, words: (APPLETS["kernel"], {}, [_name(each) for each in words if each[0:1] != "-"]),
    ),
    "ltsp-update-sshkeys": Old(
        "`ltsp initrd`: clients know this server's keys by what they boot",
        lambda *_: (APPLETS["initrd"], {}, []),
    ),
}


def main(arguments: Sequence[str] | None = None, name: str = "") -> int:
    """Run the command whose name this program was called by, and return the exit status."""
    name = name or PurePath(sys.argv[0]).name
    words = sys.argv[1:] if arguments is None else list(arguments)
    old = COMMANDS.get(name)
    if old is None:
        return fail(name, f"this program has the names {', '.join(COMMANDS)}.", server.USAGE)
    if {"-h", "--help"} & set(words):
        print(usage(name))
        return server.OK
    try:
        given, rest = read(words, old.options) if old.options else ({}, words)
        applet, options, images = old.call(given, rest)
    except Usage as error:
        return fail(name, f"{error} '{name} --help' shows what there is.", server.USAGE)
    except Gone as error:
        return fail(name, f"There is nothing of this name any more: {error}", server.FAILED)
    return guarded(name, lambda client: ltsp.run(client, applet, options, images))


def usage(name: str) -> str:
    """Return the help of a command."""
    old = COMMANDS[name]
    text = f"{name} of LTSP 5 is now: {old.about.replace('`', chr(39))}."
    return f"{text}\n\n{ltsp.listed(old.options)}" if old.options else text


if __name__ == "__main__":
    sys.exit(main())
