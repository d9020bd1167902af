"""All files that are made: which page of docs/, manual page and completion comes from what."""

from collections.abc import Callable, Mapping

from ltspd.config import reference
from ltspd.manual import applets, commands, completion, dbus
from ltspd.manual.roff import Page, roff
from ltspd.names import STEM

CONTRACT = f"ltspd/api/{STEM}.xml"


def made(read: Callable[[str], str]) -> Mapping[str, str]:
    """Return every made file, by path below the project; ``read`` gives the text of a file there."""
    docs = {
        "docs/ltspctl.md": commands.page(),
        "docs/ltsp.md": applets.page(),
        "docs/dbus.md": dbus.page(read(CONTRACT)),
        "docs/ltsp.conf.md": reference.page(),
    }
    manual = (
        Page("ltspctl", 1, "talk to the network boot server daemon", docs["docs/ltspctl.md"]),
        Page("ltsp.conf", 5, "configuration of ltspd", docs["docs/ltsp.conf.md"]),
        Page(STEM, 7, "D-Bus interface of ltspd", docs["docs/dbus.md"]),
        Page("ltsp", 8, "LTSP's commands for ltspd", docs["docs/ltsp.md"]),
        Page("ltspd", 8, "network boot server daemon", read("docs/ltspd.md")),
    )
    return {
        **docs,
        **{f"man/{page.name}.{page.section}": roff(page) for page in manual},
        "completion/ltspctl.bash": completion.bash(),
        "completion/_ltspctl": completion.zsh(),
        "completion/ltspctl.fish": completion.fish(),
    }
