"""Writes what is made from the program's tables: docs/, manual pages, completions, the D-Bus interface.

``python3 -m ltspd.manual`` writes the pages of docs/ below the current directory, where they differ;
``python3 -m ltspd.manual SHARE`` writes everything else below a directory like ``/usr/share``.
"""

import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from ltspd.api import introspection
from ltspd.api.contract import NOUNS
from ltspd.cli import nouns
from ltspd.cli.ltsp5 import COMMANDS
from ltspd.config import reference
from ltspd.manual import applets, commands, completion, dbus
from ltspd.manual.roff import Page, roff
from ltspd.names import STEM

# The page that people write and that becomes a manual page, too.
WRITTEN = "docs/ltspd.md"


def docs() -> Mapping[str, str]:
    """Return the made pages, which are kept in the repository."""
    return {
        "docs/ltspctl.md": commands.page(nouns.commands()),
        "docs/ltsp.md": applets.page(),
        "docs/dbus.md": dbus.page(),
        "docs/ltsp.conf.md": reference.page(),
    }


def shared(read: Callable[[str], str]) -> Mapping[str, str]:
    """Return the files that are installed and not kept in the repository, by path below ``/usr/share``.

    ``read`` gives the text of a file of the repository.
    """
    made = docs()
    pages = (
        Page("ltspctl", 1, "talk to the network boot server daemon", made["docs/ltspctl.md"]),
        Page("ltsp.conf", 5, "configuration of ltspd", made["docs/ltsp.conf.md"]),
        Page(STEM, 7, "D-Bus interface of ltspd", made["docs/dbus.md"]),
        Page("ltsp", 8, "LTSP's commands for ltspd", made["docs/ltsp.md"]),
        Page("ltspd", 8, "network boot server daemon", read(WRITTEN)),
    )
    return {
        **{f"man/man{page.section}/{page.name}.{page.section}": roff(page) for page in pages},
        **{f"man/man8/{name}.8": ".so man8/ltsp.8\n" for name in COMMANDS},
        f"dbus-1/interfaces/{STEM}.xml": introspection.document(NOUNS),
        "bash-completion/completions/ltspctl": completion.bash(nouns.nouns().values()),
        "zsh/vendor-completions/_ltspctl": completion.zsh(nouns.nouns().values()),
        "fish/vendor_completions.d/ltspctl.fish": completion.fish(nouns.nouns().values()),
    }


def _read(name: str) -> str:
    return Path(name).read_text("utf-8")


def main() -> None:
    """Write the files and name those that were changed."""
    share = Path(sys.argv[1]) if len(sys.argv) > 1 else None
    for name, text in (docs() if share is None else shared(_read)).items():
        path = Path(name) if share is None else share / name
        if path.exists() and path.read_text("utf-8") == text:
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
        path.chmod(0o644)
        print(path)


if __name__ == "__main__":
    main()
