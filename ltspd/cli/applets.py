"""LTSP's applets and their options as data, and reading a command line of theirs. Pure.

The names are those of ltsp(8), so that habits and scripts go on working; what they do is in ``ltsp``.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple


class Option(NamedTuple):
    """``value`` is LTSP's notation: ``0|1`` may be left out and then means 1 (``optional``), others may not.

    An option may have no ``short`` name; one that is optional and has no value is a mere switch.

    ``about`` says what the option does here; ``setting`` is the parameter of ltsp.conf that took its place.
    """

    short: str
    long: str
    value: str
    about: str
    optional: bool = False
    setting: str = ""


class Applet(NamedTuple):
    """One applet; ``outputs`` are those that it was made for, ``words`` the metavar of its arguments."""

    name: str
    about: str
    options: tuple[Option, ...] = ()
    words: str = ""
    outputs: tuple[str, ...] = ()


class Usage(Exception):
    """The command line is wrong; the text says how."""


_SETTING = "checked against {} of ltsp.conf, where it is set now"
_ALWAYS = "accepted; {}"


def _setting(short: str, long: str, value: str, name: str = "") -> Option:
    name = name or long.upper().replace("-", "_")
    return Option(short, long, value, _SETTING.format(name), setting=name)


KERNEL = Option("k", "kernel-initrd", "glob-regex", _ALWAYS.format("kernels are found by themselves"))
IN_PLACE = Option("I", "in-place", "0|1", _ALWAYS.format("a source is never changed"), True)

GLOBAL: tuple[Option, ...] = (
    Option("b", "base-dir", "/srv/ltsp", "must be the daemon's"),
    Option("m", "home-dir", "/home", _ALWAYS.format("HOME_DIR of ltsp.conf counts")),
    Option(
        "o",
        "overwrite",
        "0|1",
        "overwrite generated files that were edited; unlike LTSP, only if it is given",
        True,
    ),
    Option("t", "tftp-dir", "/srv/tftp", "must be the daemon's"),
)

APPLETS: Mapping[str, Applet] = {
    each.name: each
    for each in (
        Applet(
            "dnsmasq",
            "bring DHCP and TFTP up to date",
            (
                _setting("d", "dns", "0|1"),
                Option("h", "http", "0|1", _ALWAYS.format("kernels come by HTTP, or by TFTP if that fails")),
                _setting("p", "proxy-dhcp", "0|1"),
                _setting("r", "real-dhcp", "0|1"),
                _setting("s", "dns-server", "list"),
                _setting("t", "tftp", "0|1"),
            ),
            outputs=("dhcp", "proxy-dhcp", "tftp"),
        ),
        Applet(
            "http",
            "bring the HTTP service up to date",
            tuple(
                Option(short, name, "0|1", _ALWAYS.format("only what clients need is served"), True)
                for short, name in (("I", "http-index"), ("i", "http-images"), ("t", "http-tftp"))
            ),
            outputs=("http",),
        ),
        Applet(
            "image",
            "build images, or go back to the generation before",
            (
                Option("b", "backup", "0|1", _ALWAYS.format("generations are kept by themselves")),
                Option("c", "cleanup", "0|1", "images never hold accounts and secrets, so 0 is refused"),
                Option("i", "ionice", "cmdline", "build with low priority, unless it is empty"),
                Option("k", "kernel-initrd", "glob-regex", "its first word chooses the kernel"),
                Option(
                    "m",
                    "mksquashfs-params",
                    "params",
                    _ALWAYS.format("excludes are in /etc/ltsp/image.excludes"),
                ),
                Option("r", "revert", "0|1", "make the generation before the current one current", True),
                IN_PLACE,
            ),
            "IMAGE",
        ),
        Applet("info", "show the version, the images and what needs attention"),
        Applet("initrd", "bring the add-on initrd ltsp.img up to date", outputs=("boot-files",)),
        Applet(
            "ipxe",
            "bring the boot menu and the boot programs up to date",
            (
                Option("b", "binaries", "0|1", _ALWAYS.format("boot programs are compared each time"), True),
                _setting("h", "http-image", "0|1", "ROOT_TRANSPORT"),
            ),
            outputs=("menu", "boot-files"),
        ),
        Applet(
            "kernel",
            "say which kernel an image boots; it comes with the image's generation",
            (KERNEL, IN_PLACE),
            "IMAGE",
            outputs=("menu",),
        ),
        Applet(
            "nfs",
            "bring NFS exports up to date",
            (
                _setting("h", "nfs-home", "0|1"),
                Option("t", "nfs-tftp", "0|1", _ALWAYS.format("clients take nothing from TFTP by NFS")),
            ),
            outputs=("nfs",),
        ),
    )
}


def shown(option: Option) -> str:
    """Return how an option is written: ``-r, --revert[=0|1]``."""
    value = f"[={option.value}]" if option.optional else f"={option.value}"
    short = f"-{option.short}, " if option.short else ""
    return f"{short}--{option.long}{value if option.value else ''}"


def read(arguments: Sequence[str], options: Sequence[Option]) -> tuple[dict[str, str], list[str]]:
    """Return the given options' values by long name, and the words; raises Usage.

    Reading is LTSP's (getopt's): a value that may be left out must hang on its option (``-r1``,
    ``--revert=1``), options and words may be mixed, and ``--`` ends the options.
    """
    given: dict[str, str] = {}
    words: list[str] = []
    rest = list(arguments)
    while rest:
        word = rest.pop(0)
        if word == "--":
            return given, words + rest
        if word.startswith("--"):
            name, equals, value = word[2:].partition("=")
            option = _by_long(name, options)
            given[option.long] = _value(option, value if equals else None, rest)
        elif word.startswith("-") and len(word) > 1:
            _short(word[1:], options, given, rest)
        else:
            words.append(word)
    return given, words


def leading(arguments: Sequence[str]) -> int:
    """Return how many arguments belong to ``ltsp`` itself: those before the applet."""
    at = 0
    while at < len(arguments) and arguments[at].startswith("-") and len(arguments[at]) > 1:
        short = next((each for each in GLOBAL if arguments[at] in (f"-{each.short}", f"--{each.long}")), None)
        at += 1 if short is None or short.optional else 2
    return at


def _short(letters: str, options: Sequence[Option], given: dict[str, str], rest: list[str]) -> None:
    while letters:
        option = next((each for each in options if each.short == letters[0]), None)
        if option is None:
            raise Usage(f"There is no option -{letters[0]}.")
        letters = letters[1:]
        # What follows an option with a value is that value; "-br" is two options whose values are left out.
        hangs = letters and not (option.optional and letters[0].isalpha())
        given[option.long] = _value(option, letters if hangs else None, rest if not letters else [])
        if hangs:
            return


def _by_long(name: str, options: Sequence[Option]) -> Option:
    fitting = [each for each in options if each.long == name] or [
        each for each in options if name and each.long.startswith(name)
    ]
    if len(fitting) != 1:
        raise Usage(
            f"There is no option --{name}." if not fitting else f"--{name} could mean several options."
        )
    return fitting[0]


def _value(option: Option, value: str | None, rest: list[str]) -> str:
    if value is None:
        if option.optional:
            return "1"
        if not rest:
            raise Usage(f"--{option.long} needs a value.")
        value = rest.pop(0)
    if option.value == "0|1" and value not in ("0", "1", ""):
        raise Usage(f"--{option.long} takes 0 or 1, not {value!r}.")
    return value
