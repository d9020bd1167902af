"""What is shell code in ltsp.conf, and where it ends. It is never run here: clients get it as it is. Pure.

Lines inside ``if`` or inside a function are no settings, so none of them may be read as one. A line of words
is code only if its first word surely is a command, because what people write by mistake has words, too.
"""

import re
from collections.abc import Container

_KEYWORD = re.compile(
    r"(if|then|else|elif|fi|for|while|until|do|done|case|esac|function|select|export|unset|local|readonly|"
    r"declare|typeset|alias|set|eval|exec|source|test|return|exit|trap|re|rw|\.|\{|\}|!|:)(?=[\s;]|\Z)"
)
# Commands of a POSIX system, of busybox, of Debian's base, and LTSP's own functions.
_COMMANDS = frozenset(
    """
    adduser apt-get awk basename blkid busybox cat cd chgrp chmod chown chpasswd chroot chvt command cp cron
    cut date dd debug debug_shell depmod df dhclient die dirname dmesg dpkg echo env ethtool expr false find
    getent grep groupadd gzip hostname hwclock id ifconfig insmod install ip iptables is_command kill killall
    ln loadkeys logger losetup ls lsmod lspci lsusb md5sum mkdir mkfs mknod mkswap mktemp modprobe mount mv
    nft nmcli passwd ping pkill plymouth poweroff printf pwd read readlink reboot rm rmdir rmmod route rs rsr
    rsync rwr sed seq setfont setxkbmap sh sleep sort ssh stat su swapoff swapon sync sysctl systemctl tail
    tar tee timeout touch tr true truncate tune2fs udevadm umask umount uname update-rc.d useradd usermod wait
    warn wc wget xargs xrandr xset
    """.split()  # noqa: SIM905
)
_COMMAND = re.compile(r"(?P<path>\.{0,2}/[\w./+-]+)(?=\s|\Z)|(?P<name>[A-Za-z_][\w.+-]*)(?=[\s;|&]|\Z)|\(")
_DEFINED = re.compile(r"^[ \t]*(?:function[ \t]+)?([A-Za-z_][\w.-]*)[ \t]*(?:\([ \t]*\)|\{)", re.MULTILINE)
_FUNCTION = re.compile(r"[\w.-]+[ \t]*\([ \t]*\)")
_OPENS = frozenset({"if", "case", "for", "while", "until", "select", "{"})
_CLOSES = frozenset({"fi", "esac", "done", "}"})
# A word is a keyword only where a command begins: at the start, or after one of these.
_LEADS = frozenset({"", *";&|(){!", "then", "else", "elif", "do", "if", "while", "until"})
_WORD = re.compile(
    r"""
    (?P<quoted> '[^']*' | "(?:[^"\\]|\\.)*" | \\. )
    | (?P<comment> (?<![^\s;])\#[^\n]* )
    | (?P<here> <<-?[ \t]*(?P<tag>['"]?\w+['"]?) )
    | (?P<sign> [;&|()] )
    | (?P<line> \n )
    | (?P<word> [^\s;&|()'"\\]+ )
    """,
    re.DOTALL | re.VERBOSE,
)


def functions(text: str) -> frozenset[str]:
    """Return the names of the functions that a text defines."""
    return frozenset(_DEFINED.findall(text))


def kind(line: str, known: Container[str] = ()) -> str:
    """Return what a message calls a line of code (``'if'``, ``a function``); empty if it is none.

    ``known`` are the functions that the file defines.
    """
    if found := _KEYWORD.match(line):
        return repr(found[1])
    if _FUNCTION.match(line):
        return "a function"
    if not (found := _COMMAND.match(line)):
        return ""
    name = found["name"]
    if name is None or name in _COMMANDS or name in known or name.startswith("section_"):
        return "a command"
    return ""


def end(text: str, at: int) -> int | None:
    """Return the offset behind the last line of the statement that begins at ``at``.

    None: the statement begins a block that is never closed.
    """
    depth, before, began = 0, "", at
    place = at
    while found := _WORD.search(text, place):
        place = found.end()
        if found["line"] is not None:
            if depth <= 0 and not _awaits_body(text[began:place]):
                return place
            before = ""
        elif found["here"] is not None:
            tag = found["tag"].strip("'\"")
            close = re.compile(rf"^\t*{re.escape(tag)}$", re.MULTILINE).search(text, place)
            line = text.find("\n", place)
            if close is None or line < 0:
                return None
            place = close.end()
        elif found["sign"] is not None:
            before = found["sign"]
        elif found["word"] is not None:
            word = found["word"]
            if before in _LEADS or word in "{}":
                depth += (word in _OPENS) - (word in _CLOSES)
            before = word if word in _LEADS else "x"
        elif found["quoted"] is not None:
            before = "x"
    return len(text) if depth <= 0 else None


def _awaits_body(text: str) -> bool:
    """Whether the text is the head of a function whose ``{`` is on the next line."""
    return bool(re.fullmatch(r"[\w.-]+[ \t]*\([ \t]*\)[ \t]*\n", text))
