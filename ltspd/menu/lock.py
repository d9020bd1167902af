"""The password of the menu: which lines ask for it, and what each boot program can check it with. Pure.

There are only hashes of it. GRUB and PXELINUX check the hash that stands in their menus. iPXE can check none,
so it sends what was typed to the gateway. It keeps nobody from what can be fetched without a menu.
"""

import hmac
import re
from collections.abc import Collection, Iterator
from fnmatch import fnmatchcase

from ltspd.config.parameter import SERVER, Parameter, Settings
from ltspd.config.readers import LINE, Reader
from ltspd.model.menu import BootWay, Lock, Tool

# What asks for a name wants this one, too.
USER = "admin"
# As grub-mkpasswd-pbkdf2 writes it; a machine needs a second for so many rounds.
_PBKDF2 = re.compile(
    r"grub\.pbkdf2\.sha512\.([1-9][0-9]{0,6})\.((?:[0-9A-Fa-f]{2}){1,128})\.((?:[0-9A-Fa-f]{2}){16,64})"
)
ROUNDS_MOST = 1_000_000
# As crypt(5) writes SHA-256 and SHA-512, which PXELINUX's menu knows.
_CRYPT = re.compile(r"\$[56]\$(?:rounds=[1-9][0-9]{3,6}\$)?[./0-9A-Za-z]{1,16}\$[./0-9A-Za-z]{43,86}")
# Whoever stands before a machine can do that without a menu.
_NEVER = frozenset({Tool.RESTART})
_MAKES = {
    "pbkdf2": ("iPXE and GRUB", "'grub-mkpasswd-pbkdf2' (package grub-common)"),
    "crypt": ("PXELINUX", "'openssl passwd -6'"),
}


def _read(text: str) -> tuple[str, str]:
    """Read the hash for iPXE and GRUB, and that for PXELINUX; one of them may be missing."""
    found = {"pbkdf2": "", "crypt": ""}
    for word in text.split():
        kind = next(
            (name for name, form in (("pbkdf2", _PBKDF2), ("crypt", _CRYPT)) if form.fullmatch(word)), ""
        )
        # The word itself may be the password, and messages are read by everybody.
        if not kind:
            raise ValueError("has a word that is no hash of grub-mkpasswd-pbkdf2 or 'openssl passwd -6'")
        if found[kind]:
            raise ValueError(f"has two hashes for {_MAKES[kind][0]}")
        if kind == "pbkdf2" and int(word.split(".")[3]) > ROUNDS_MOST:
            raise ValueError(f"has more than {ROUNDS_MOST} rounds")
        found[kind] = word
    return found["pbkdf2"], found["crypt"]


PASSWORD = Parameter(
    "MENU_PASSWORD",
    Reader("hashes of a password", _read, "grub.pbkdf2.sha512.… for iPXE and GRUB, $6$… for PXELINUX"),
    "",
    SERVER,
    "Hashes of the password that lines of the boot menu ask for",
    secret=True,
)
LOCKED = Parameter(
    "MENU_LOCKED",
    LINE,
    "",
    SERVER,
    "Images and tools of the boot menu that ask for its password, also as globs; empty: all",
)


def lock(settings: Settings, names: Collection[str]) -> Lock:
    """Return the lock of a menu's lines; without a password there is none."""
    if not settings.given(PASSWORD) and settings.readable(PASSWORD):
        return Lock()
    patterns = settings[LOCKED].replace(",", " ").split() or ["*"]
    found = [each for each in names if _fits(each, patterns)]
    # Who has the command line needs no line of the menu.
    if found and Tool.SHELL in names and Tool.SHELL not in found:
        found.append(Tool.SHELL)
    return Lock(tuple(map(str, found)), *settings[PASSWORD])


def _fits(name: str, patterns: Collection[str]) -> bool:
    # There is one name for both ways to the firmware's setup.
    said = Tool.FIRMWARE if name == Tool.SETUP else name
    return name not in _NEVER and any(fnmatchcase(said, each) for each in patterns)


def problems(settings: Settings, names: Collection[str], ways: Collection[BootWay]) -> Iterator[str]:
    """Yield what of the lock can't be, as sentences."""
    if settings.given(LOCKED) and not settings.given(PASSWORD):
        yield "MENU_LOCKED= in ltsp.conf does not count without MENU_PASSWORD=."
        return
    found = lock(settings, names)
    for pattern in settings[LOCKED].replace(",", " ").split() if settings.given(LOCKED) else ():
        if not any(_fits(each, [pattern]) for each in names):
            known = ", ".join(each for each in names if each not in (*_NEVER, Tool.SETUP))
            yield f"MENU_LOCKED= names {pattern[:80]}, but of what can ask the menu has only {known}."
    wanted = {"pbkdf2": bool(set(ways) - {BootWay.PXELINUX}), "crypt": BootWay.PXELINUX in ways}
    for kind, (programs, tool) in _MAKES.items():
        if found.names and wanted[kind] and not getattr(found, kind):
            yield (
                f"MENU_PASSWORD= has no hash that {programs} can check, so their menus leave out what "
                f"MENU_LOCKED= names, unless a machine starts it by itself. Add what {tool} writes."
            )


def is_right(lock: Lock, password: str) -> bool:
    """Return whether it is the password. It takes as long as the hash has rounds."""
    form = _PBKDF2.fullmatch(lock.pbkdf2)
    if form is None:
        return False
    # Since Python 3.12 hashlib has it only with OpenSSL, which the gateway loads for the first password.
    from _hashlib import pbkdf2_hmac

    salt, digest = bytes.fromhex(form[2]), bytes.fromhex(form[3])
    made = pbkdf2_hmac("sha512", password.encode("utf-8", "surrogatepass"), salt, int(form[1]), len(digest))
    return hmac.compare_digest(made, digest)
