"""``ltspctl config import`` as people run it, without a bus: what it writes where, and what it refuses."""

import os
from pathlib import Path

import pytest

from tests.worlds.program import Ran, begin, end

EXAMPLE = "tests/worlds/lts.conf"
NOBODY = "unix:path=/nonexistent"


async def run(*words: object) -> Ran:
    return await end(await begin(NOBODY, "config", "import", *map(str, words)))


async def test_the_result_is_on_standard_output_and_the_report_beside_it() -> None:
    ran = await run(EXAMPLE)
    assert ran.status == 0
    assert ran.out.startswith(f"# Made from {EXAMPLE} by 'ltspctl config import'.\n")
    assert "LDM_DIRECTX  " in ran.err
    assert "hush" not in ran.out + ran.err


async def test_a_file_is_written_once_for_its_owner_alone(tmp_path: Path) -> None:
    output = tmp_path / "ltsp.conf"
    ran = await run(EXAMPLE, "--output", output)
    assert (ran.status, ran.err) == (0, "")
    assert ran.out.endswith(f"Written: {output}\n")
    assert output.read_text() == (await run(EXAMPLE)).out
    assert output.stat().st_mode & 0o777 == 0o600
    output.write_text("mine\n")
    output.chmod(0o640)
    ran = await run(EXAMPLE, "--output", output)
    assert (ran.status, ran.out, output.read_text()) == (1, "", "mine\n")
    assert "is there already: give another name, or --force" in ran.err
    link = tmp_path / "link"
    link.symlink_to(output)
    assert (await run(EXAMPLE, "--output", link, "--force")).status == 0
    assert link.is_symlink()
    assert (output.read_text()[:11], output.stat().st_mode & 0o777) == ("# Made from", 0o640)


async def test_as_json(tmp_path: Path) -> None:
    (tmp_path / "lts.conf").write_bytes(b"[default]\nSOUND=True\n# caf\xe9\nSERVER=10.0.0.1\n")
    found = (await run(tmp_path / "lts.conf", "--json")).json
    assert "# café\nSERVER='10.0.0.1'\n" in found["Text"], "lts.conf is older than UTF-8"
    assert [(each["Line"], each["Name"], each["Fate"], each["Became"]) for each in found["Report"]] == [
        (2, "SOUND", "gone", ""),
        (4, "SERVER", "done", "SERVER"),
    ]
    assert {each["Section"] for each in found["Report"]} == {"clients"}
    assert found["Report"][0]["Message"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["/nonexistent/lts.conf"], "/nonexistent/lts.conf can't be read (No such file or directory)."),
        (["/"], "/ can't be read (Is a directory)."),
        (["/dev/zero"], "is this the right file?"),
        ([EXAMPLE, "--output", "/dev/null", "--force"], "/dev/null is no file."),
        ([EXAMPLE, "--output", "/proc/nowhere/x"], "/proc/nowhere/x can't be written ("),
    ],
)
async def test_what_cant_be_is_a_sentence(words: list[str], said: str) -> None:
    ran = await run(*words)
    assert (ran.status, ran.out) == (1, "")
    assert said in ran.err
    assert len(ran.err.splitlines()) == 1


async def test_an_empty_file_is_an_empty_ltsp_conf() -> None:
    ran = await run(os.devnull)
    assert ran.status == 0
    assert ran.err == "There is no setting in it.\n"
