"""What we use of dbus-next beyond its documented interface: in one module, refused where it is missing."""

import asyncio
import os
import re
import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from ltspd.dbus import library
from ltspd.dbus.library import PRIVATE, Unsuitable, check
from tests import REPOSITORY
from tests.patience import PATIENCE


def having(names: set[str]) -> Any:
    """Return a library, or a bus, that has just these members."""
    top = SimpleNamespace()
    for name in names:
        at = top
        for part in name.removeprefix("bus.").split("."):
            if not hasattr(at, part):
                setattr(at, part, SimpleNamespace())
            at = getattr(at, part)
    return top


def test_the_installed_version_has_all_that_is_needed() -> None:
    check()


@pytest.mark.parametrize("lacking", PRIVATE)
def test_a_version_that_lacks_one_is_refused_with_thing_reason_and_next_step(lacking: str) -> None:
    of_bus = {name for name in PRIVATE if name.startswith("bus.")}
    whole = having(set(PRIVATE) - of_bus)
    check(whole)
    check(whole, having(of_bus))
    given = (whole, having(of_bus - {lacking})) if lacking in of_bus else (having(set(PRIVATE) - {lacking}),)
    with pytest.raises(Unsuitable) as refused:
        check(*given)
    member = lacking.rpartition(".")[2]
    assert f") has no {member}, which ltspd needs because" in refused.value.message
    assert PRIVATE[lacking] in refused.value.message
    assert refused.value.message.endswith("Install version 0.2.3, as in Debian's python3-dbus-next.")


async def test_the_daemon_ends_at_start_with_that_sentence(bus_address: str) -> None:
    code = (
        "import sys, dbus_next.aio\n"
        "del dbus_next.aio.MessageBus._finalize, dbus_next.message_bus.BaseMessageBus._finalize\n"
        "from ltspd.__main__ import main\n"
        "sys.exit(main())\n"
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, "--root", "/nowhere", "--bus", bus_address,
        cwd=REPOSITORY, env={**os.environ, "JOURNAL_STREAM": ""}, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    _, err = await asyncio.wait_for(process.communicate(), PATIENCE)
    assert process.returncode == 1
    assert b"has no _finalize, which ltspd needs because" in err
    assert b"Traceback" not in err


def test_no_other_module_names_them() -> None:
    names = "|".join(name.rpartition(".")[2] for name in PRIVATE)
    private = re.compile(rf"\.({names}|_private|_cache)\b")
    assert isinstance(library, ModuleType)
    for path in (REPOSITORY / "ltspd").rglob("*.py"):
        if path.name != "library.py" and "dbus_next" in (text := path.read_text()):
            assert not private.search(text), path
