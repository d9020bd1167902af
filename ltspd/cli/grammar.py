"""Every command of ``ltspctl`` as data: the parser, the completions and the manual are made from it. Pure."""

from collections.abc import Mapping
from typing import NamedTuple


class Argument(NamedTuple):
    """An option (its names begin with ``-``) or a word. ``complete`` says what a shell can offer for it.

    ``nargs`` is argparse's, ``?`` or ``*``; empty: exactly one. An option takes a value if it has a metavar.
    """

    names: tuple[str, ...]
    help: str
    metavar: str = ""
    nargs: str = ""
    complete: str = ""

    @property
    def option(self) -> bool:
        """Whether it is an option and not a word."""
        return self.names[0].startswith("-")

    @property
    def valued(self) -> bool:
        """Whether it is an option with a value behind it."""
        return self.option and bool(self.metavar)


class Command(NamedTuple):
    """``ltspctl NOUN VERB ARGUMENTS``, or ``ltspctl NOUN ARGUMENTS`` if the verb is empty."""

    noun: str
    verb: str
    help: str
    arguments: tuple[Argument, ...] = ()
    more: str = ""

    @property
    def words(self) -> str:
        """How the command begins, without the program's name."""
        return f"{self.noun} {self.verb}".rstrip()


JSON = Argument(("--json",), "print JSON instead of text")
NO_WAIT = Argument(("--no-wait",), "start the job, print its id, don't wait for it")
VERSION = Argument(("--version",), "print the version of ltspctl and end")
HELP = Argument(("-h", "--help"), "print help and end")

# What completions call: KINDS are the values of Argument.complete.
HIDDEN = "complete"
KINDS = ("image", "generation", "link", "client", "output", "job")

IMAGE = Argument(("name",), "an image", "NAME", complete="image")
OUTPUT = Argument(("name",), "an output", "NAME", complete="output")
LINK = Argument(("name",), "an interface", "NAME", complete="link")
CLIENT = Argument(("name",), "a client's MAC address, host name or IP address", "NAME", complete="client")
JOB = Argument(("id",), "a job", "ID", complete="job")

NOUNS: Mapping[str, str] = {
    "status": "how the server is doing and what needs attention",
    "setup": "what is served where, and the first image",
    "image": "root images: list, build, test, revert, keep",
    "link": "network interfaces",
    "client": "machines that boot from this server",
    "output": "generated files",
    "job": "long work, such as builds",
    "config": "what ltsp.conf says",
    "reload": "read ltsp.conf again",
    "apply": "bring everything up to date",
}

COMMANDS: tuple[Command, ...] = (
    Command("status", "", "show how the server is doing and what needs attention"),
    Command(
        "setup",
        "",
        "show what is answered on each interface, take over from LTSP, and build the first image",
        (
            Argument(("--yes",), "ask nothing"),
            NO_WAIT,
            Argument(("--undo",), "put files of LTSP that were moved aside back, and do nothing else"),
        ),
        "Where LTSP was set up, what it left is shown, and files that stand in the way are moved aside: they "
        "stay where they are, with .before-ltspd~ added to their names. "
        "Builds the only source there is: the one chroot below /srv/ltsp, or else the server's own root. "
        "With several sources, or an image built already, it builds nothing and says what to do next, "
        "so it can be run as often as you like.",
    ),
    Command("image", "list", "list images"),
    Command("image", "show", "show an image and its generations", (IMAGE,)),
    Command(
        "image",
        "build",
        "build a new generation and make it the one that clients boot",
        (
            Argument(
                ("name",),
                "an image, / for this server's own root, or the path of a VM's disk or a live ISO; may be "
                "left out if there is only one",
                "NAME",
                "?",
                "image",
            ),
            Argument(("--background",), "build with low CPU and disk priority"),
            Argument(
                ("--direct",),
                "pack nothing: clients read the chroot itself, by NFS, or a live medium's own squashfs",
            ),
            Argument(("--full",), "pack everything anew, also what did not change"),
            Argument(
                ("--kernel",),
                "take the newest kernel whose version or file this shell pattern fits, now and in later "
                "builds; '' goes back to the source's own choice",
                "GLOB",
            ),
            Argument(
                ("--initrd",),
                "own: boot with our small initrd; distribution: with the image's own one and our client as a "
                "guest in it; now and in later builds",
                "WHOSE",
            ),
            Argument(
                ("--test",), "test the new generation first (see 'image test'), and drop it if it fails"
            ),
            Argument(("--no-test",), "don't test it, whatever TEST_IMAGE of ltsp.conf says"),
            NO_WAIT,
        ),
        "Clients that run keep the generation that they booted. Ctrl-C ends the watching, not the build. "
        "A disk with several systems needs to be told which: NAME,partition=2.",
    ),
    Command(
        "image",
        "test",
        "boot a generation in a machine of its own and see whether it reaches its login",
        (
            IMAGE,
            Argument(
                ("generation",), "the one to test; default: the current", "GENERATION", "?", "generation"
            ),
            NO_WAIT,
        ),
        "No client and no network is touched. What the machine showed on its console is kept on the server, "
        "and its end printed if the login was not reached.",
    ),
    Command(
        "image",
        "revert",
        "make an older generation the one that new clients boot",
        (
            IMAGE,
            Argument(
                ("generation",),
                "the one to go to; default: the one before the current",
                "GENERATION",
                "?",
                "generation",
            ),
        ),
    ),
    Command(
        "image",
        "remove",
        "remove a generation that is not current and that nothing uses",
        (IMAGE, Argument(("generation",), "the one to remove", "GENERATION", complete="generation")),
        "One that was current less than KEEP_GRACE ago stays: a client that is just starting may need it.",
    ),
    Command(
        "image",
        "keep",
        "keep a generation however old it gets, or stop doing so",
        (
            IMAGE,
            Argument(("generation",), "the one to keep", "GENERATION", complete="generation"),
            Argument(("--undo",), "let it go when its time comes"),
        ),
    ),
    Command("link", "list", "list interfaces and what is answered on them"),
    Command("link", "show", "show an interface", (LINK,)),
    Command(
        "client",
        "list",
        "list clients and how far each has come",
        more="Clients tell this themselves, when they boot and when they are shut down, and send nothing "
        "in between; LAST SEEN of one that runs may be long ago.",
    ),
    Command("client", "show", "show a client", (CLIENT,)),
    Command("output", "list", "list outputs and whether they are in sync"),
    Command("output", "show", "show an output", (OUTPUT,)),
    Command("output", "preview", "show what applying an output would change", (OUTPUT,)),
    Command("job", "list", "list running and recently finished jobs"),
    Command("job", "show", "show a job", (JOB,)),
    Command("job", "watch", "follow a job to its end; fails if the job fails", (JOB,)),
    Command("job", "cancel", "ask a job to stop", (JOB,)),
    Command(
        "config",
        "show",
        "show the settings of a client, or of the server, and which line sets each",
        (
            Argument(
                ("host",),
                "a client's MAC address, IP address or host name; give all that you know, because sections "
                "are chosen by each of them; none: the server itself",
                "HOST",
                "*",
            ),
            Argument(("--all",), "show defaults, too"),
        ),
        "Secrets are withheld. What is shown is in force; 'ltspctl config check' looks at the file.",
    ),
    Command(
        "config",
        "check",
        "check ltsp.conf as it is on disk, without applying it; fails if there are errors",
    ),
    Command("reload", "", "read ltsp.conf again and bring everything up to date"),
    Command(
        "apply",
        "",
        "bring everything up to date",
        (Argument(("--force",), "overwrite generated files that were edited"),),
    ),
)

EXIT: Mapping[int, str] = {
    0: "done",
    1: "the daemon refused it, the job failed, or what was checked has errors",
    2: "the command line is wrong",
    3: "not authorized",
    4: "the daemon or the system bus can't be reached",
    130: "interrupted; a job that was started goes on",
}
