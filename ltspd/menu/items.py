"""The lines of the boot menu, the same for every boot program: their order, names and titles. Pure."""

import unicodedata
from collections.abc import Callable, Iterator, Set

from ltspd.model.menu import CURRENT, Entry, Offer, Tool

_TITLES = {
    Tool.LOCAL: "Boot from the local disk",
    Tool.RESTART: "Restart",
    Tool.FIRMWARE: "Firmware setup",
    Tool.SETUP: "Firmware setup",
    Tool.MEMTEST: "Test the memory",
    Tool.SHELL: "Command line",
}
# How other alphabets are written with Latin letters, as on road signs there: Greek by ISO 843, Cyrillic as
# in passports (ICAO 9303). Accents are taken off before, so "й" is "и".
_LATIN = str.maketrans(
    dict(zip("αβγδεζηικλμνξοπρστυφω", "avgdeziiklmnxoprstyfo", strict=True))
    | dict(zip("абвгдезиклмнопрстуфыэі", "abvgdeziklmnoprstufyei", strict=True))
    | dict(zip("ςђћјќґøđðłı–—ʹ’‘“”„", "sdckkgoddli--'''\"\"\"", strict=True))
    | {"θ": "th", "χ": "ch", "ψ": "ps", "ж": "zh", "х": "kh", "ц": "ts", "ч": "ch", "ш": "sh", "щ": "shch"}
    | {"ъ": "", "ь": "", "ю": "iu", "я": "ia", "є": "ie", "љ": "lj", "њ": "nj", "џ": "dz"}
    | {"ß": "ss", "æ": "ae", "œ": "oe", "þ": "th", "€": "EUR"}
)


def image_items(
    offer: Offer, shown: Callable[[str], str], *, arm: bool = True
) -> Iterator[tuple[Entry, str]]:
    """Yield each image with its title; ``shown`` returns what a boot program can show of a text.

    Without ``arm``, what is for ARM is left out.
    """
    for entry in (each for each in offer.entries if arm or not each.arm):
        title = shown(entry.title) or shown(f"{entry.image} ({entry.kernel})")
        if entry.earlier:
            title = f"{title}, {_built(entry.generation)}"
        elif entry.channel != CURRENT:
            title = f"{title}, {entry.channel}"
        yield entry, title


def _built(generation: str) -> str:
    """Return when a generation was built; its id begins with that, as 20250101T235900Z."""
    day, time = generation[:8], generation[9:15]
    return f"{day[:4]}-{day[4:6]}-{day[6:]} {time[:2]}:{time[2:4]}:{time[4:]} UTC"


def tool_items(offer: Offer, able: Set[Tool]) -> Iterator[tuple[Tool, str]]:
    """Yield each tool that a boot program has, with its title."""
    return ((each, _TITLES[each]) for each in offer.tools if each in able)


def ascii_of(text: str) -> str:
    """Return a text in ASCII, transliterated; empty if some letter of it has no transliteration."""
    return _plain(text, limit=0x80)


def latin_of(text: str) -> str:
    """Return a text in the signs that every UEFI console has (Latin-1); other alphabets transliterated."""
    return _plain(text, limit=0x100)


def _plain(text: str, limit: int) -> str:
    letters = [_letter(each, limit) for each in unicodedata.normalize("NFC", text)]
    return "" if None in letters else " ".join("".join(filter(None, letters)).split())


def _letter(letter: str, limit: int) -> str | None:
    """Return a letter by letters below a limit: it may be none of them; None if it has no transliteration."""
    if ord(letter) < limit and (letter.isprintable() or letter.isspace()):
        return letter
    parts = [each for each in unicodedata.normalize("NFKD", letter) if not unicodedata.combining(each)]
    found = "".join(each.lower().translate(_LATIN) for each in parts)
    if not (found.isascii() and found.isprintable()):
        return None
    return found.capitalize() if letter.isupper() else found
