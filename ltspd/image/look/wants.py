"""What a source lacks of what settings of ltsp.conf, or people's login, need in it: a sentence for each."""

from collections.abc import Iterable
from pathlib import Path

from ltspd.foreign.inside import list_inside, path_inside, read_inside, stat_inside
from ltspd.model.image import Want

# What os-release says of a distribution or of what it is like, in the order of a Want's packages.
_FAMILIES = (frozenset({"debian", "ubuntu"}), frozenset({"fedora", "rhel"}), frozenset({"arch"}))
_LOCALES = "usr/lib/locale"
# The names are at the beginning of the archive.
_LOCALE_BYTES = 1_000_000
_SNAP, _SCRIPT_BYTES = b"/snap/bin/", 4096
# Each is one thing to install; of more than these the first ones say enough.
_MOST = 20
# Of many settings that need the same the first ones say enough.
_MOST_SETTINGS = 2


def lacking(root: Path, wants: Iterable[Want]) -> tuple[str, ...]:
    """Return a sentence for each thing that a source lacks, with the settings that need it. Blocks."""
    found: dict[tuple[tuple[str, ...], str], list[Want]] = {}
    for each in wants:
        if not any(_has(root, file) for file in each.files):
            found.setdefault((each.files, each.what), []).append(each)
    if not found:
        return ()
    family = _family(root)
    lines = [_sentence(each, family) for each in found.values()]
    return (*lines[:_MOST], *([f"{len(lines) - _MOST} more things are missing."] if lines[_MOST:] else []))


def _sentence(wants: list[Want], family: int | None) -> str:
    first = wants[0]
    settings = [each for each in dict.fromkeys(want.setting for want in wants) if each != "login"]
    if rest := settings[_MOST_SETTINGS:]:
        settings = [*settings[:_MOST_SETTINGS], f"{len(rest)} more"]
    says = []
    if any(each.setting == "login" for each in wants):
        says.append("people of the server can't log in")
    if settings:
        listed = ", ".join(settings[:-1])
        says.append(f"{listed}{' and ' if listed else ''}{settings[-1]} can't have an effect")
    package = first.packages[family] if family is not None and family < len(first.packages) else ""
    step = f"; install {package} in its source" if package else ""
    return f"With this image {', and '.join(says)}: it has no {first.what}{step}."


def _has(root: Path, file: str) -> bool:
    if file.startswith("@locale:"):
        return _has_locale(root, file.removeprefix("@locale:"))
    if file.startswith("@"):
        return file[1:] == _manager(root)
    before, star, after = file.partition("*")
    if star:
        return any(
            _has(root, f"{before}{name}{after}") for name in list_inside(root, before) if "*" not in name
        )
    if stat_inside(root, file) is None:
        return False
    # A script that only starts a snap is not the program, because a session of ours starts no snap.
    head = read_inside(root, file, _SCRIPT_BYTES) or b""
    return not (head.startswith(b"#!") and _SNAP in head)


def _manager(root: Path) -> str:
    """Return the name of the display manager that a source starts; ``getty``: none."""
    for place in ("etc", "usr/lib"):
        unit = path_inside(root, f"{place}/systemd/system/display-manager.service")
        if unit is not None:
            return unit.name.removesuffix(".service")
    return "getty"


def _has_locale(root: Path, name: str) -> bool:
    """Return whether there is a language such as de_DE.UTF-8, which on disk has another name: de_DE.utf8."""
    language, dot, code = name.partition(".")
    code, at, form = code.partition("@")
    on_disk = f"{language}{dot}{code.lower().replace('-', '')}{at}{form}"
    if on_disk in ("", "C", "C.utf8", "POSIX"):
        return True
    archive = read_inside(root, f"{_LOCALES}/locale-archive", _LOCALE_BYTES) or b""
    return (
        on_disk.encode() in archive.split(b"\0")
        or stat_inside(root, f"{_LOCALES}/{on_disk}/LC_CTYPE") is not None
    )


def _family(root: Path) -> int | None:
    """Return which of _FAMILIES a source belongs to."""
    text = read_inside(root, "etc/os-release", 65536) or read_inside(root, "usr/lib/os-release", 65536) or b""
    lines = (each.partition("=") for each in text.decode(errors="replace").splitlines())
    said = {name: value.strip("\"'") for name, _, value in lines}
    ids = {said.get("ID", ""), *said.get("ID_LIKE", "").split()}
    return next((number for number, names in enumerate(_FAMILIES) if names & ids), None)
