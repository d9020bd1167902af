"""The command line: its grammar and its help, nothing else."""

import argparse

EXIT = """\
exit status:
  0    done
  1    the daemon refused it, or the job failed
  2    the command line is wrong
  3    not authorized
  4    the daemon or the system bus can't be reached
  130  interrupted; a job that was started goes on
"""


def parser() -> argparse.ArgumentParser:
    """Return the parser; the chosen command's name is in ``command`` (and ``verb``)."""
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--json", action="store_true", help="print JSON instead of text")
    top = argparse.ArgumentParser(
        prog="ltspctl",
        description="Talk to ltspd, the network boot server daemon.",
        epilog=EXIT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="store_true", help="print the version of ltspctl and end")
    commands = top.add_subparsers(dest="command", metavar="COMMAND")

    def command(name: str, text: str) -> argparse.ArgumentParser:
        return commands.add_parser(name, parents=[common], help=text, description=text)

    def verbs(name: str, text: str) -> "argparse._SubParsersAction[argparse.ArgumentParser]":
        group = commands.add_parser(name, help=text, description=text)
        return group.add_subparsers(dest="verb", metavar="VERB", required=True)

    command("status", "show how the server is doing and what needs attention")

    image = verbs("image", "root images: list, build, revert")
    _verb(image, common, "list", "list images")
    one = _verb(image, common, "show", "show an image and its generations")
    one.add_argument("name", metavar="NAME")
    build = _verb(image, common, "build", "build a new generation and make it the one that clients boot")
    build.add_argument("name", metavar="NAME", nargs="?", help="may be left out if there is only one image")
    build.add_argument("--background", action="store_true", help="build with low CPU and disk priority")
    _no_wait(build)
    revert = _verb(image, common, "revert", "make an older generation the one that new clients boot")
    revert.add_argument("name", metavar="NAME")
    revert.add_argument(
        "generation", metavar="GENERATION", nargs="?", default="", help="default: the previous"
    )
    remove = _verb(image, common, "remove", "remove a generation that nothing uses")
    remove.add_argument("name", metavar="NAME")
    remove.add_argument("generation", metavar="GENERATION")

    link = verbs("link", "network interfaces")
    _verb(link, common, "list", "list interfaces and what is answered on them")

    output = verbs("output", "generated files")
    _verb(output, common, "list", "list outputs and whether they are in sync")
    one = _verb(output, common, "show", "show an output")
    one.add_argument("name", metavar="NAME")
    one = _verb(output, common, "preview", "show what applying an output would change")
    one.add_argument("name", metavar="NAME")

    job = verbs("job", "long work, such as builds")
    _verb(job, common, "list", "list running and recently finished jobs")
    for name, text in (
        ("show", "show a job"),
        ("watch", "follow a job to its end; fails if the job fails"),
        ("cancel", "ask a job to stop"),
    ):
        _verb(job, common, name, text).add_argument("id", metavar="ID")

    command("reload", "read the configuration again and bring everything up to date")
    apply = command("apply", "bring everything up to date")
    apply.add_argument("--force", action="store_true", help="overwrite generated files that were edited")
    return top


def _verb(
    verbs: "argparse._SubParsersAction[argparse.ArgumentParser]",
    common: argparse.ArgumentParser,
    name: str,
    text: str,
) -> argparse.ArgumentParser:
    return verbs.add_parser(name, parents=[common], help=text, description=text)


def _no_wait(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--no-wait", action="store_true", help="start the job, print its id, don't wait for it")
