"""The names of LTSP 5's lts.conf(5): what each is called now, or why it is nothing. Pure."""

from collections.abc import Callable
from fnmatch import fnmatchcase
from typing import NamedTuple

_TRUE = frozenset({"y", "yes", "true", "t", "1", "on"})
_FALSE = frozenset({"n", "no", "false", "f", "0", "off", ""})


class Key(NamedTuple):
    """What is known of the names that fit a pattern, while their value fits ``value`` in lower case.

    ``target`` is the parameter of ltsp.conf for the value as ``read`` gives it; none: nothing follows.
    ``why`` says what does it now, or what there is instead. ``gone``: it will have no meaning any more.
    """

    name: str
    why: str
    target: str = ""
    read: Callable[[str], str] = str
    value: str = "*"
    gone: bool = True


def truth(text: str) -> bool | None:
    """Return what a word of lts.conf means, or None if it is neither yes nor no."""
    word = text.strip().lower()
    return True if word in _TRUE else False if word in _FALSE else None


def find(name: str, value: str) -> Key | None:
    """Return what is known of a name with its value; None: lts.conf had no such name."""
    fitting = (each for each in KEYS if fnmatchcase(name, each.name))
    return next((each for each in fitting if fnmatchcase(value.lower(), each.value)), None)


def _flag(text: str) -> str:
    found = truth(text)
    return text if found is None else str(int(found))


def _swap(text: str) -> str:
    """Return a size: lts.conf says only whether, and the server's nbdswapd made 512 MB."""
    found = truth(text)
    return text if found is None else "512M" if found else "0"


def _rdp(_text: str) -> str:
    """Return the session that a script of screen.d was, whatever its name and options."""
    return "rdp"


def _same(name: str, why: str = "", read: Callable[[str], str] = str) -> Key:
    """Take a name over as it is."""
    return Key(name, why, name, read, gone=False)


def _now(name: str, target: str, why: str = "", read: Callable[[str], str] = str) -> Key:
    return Key(name, why, target, read, gone=False)


def _gone(name: str, why: str, value: str = "*") -> Key:
    return Key(name, why, value=value)


def _later(name: str, why: str, value: str = "*") -> Key:
    return Key(name, why, value=value, gone=False)


_THERE = "programs run on the client itself, not on the server"
_XORG = "today's X finds this out by itself; a file in /etc/X11/xorg.conf.d of the image overrides it"
_SCREEN = "monitors are set up by the desktop, or by a file in /etc/X11/xorg.conf.d of the image"
_KEYBOARD = "the keyboard is the image's: /etc/default/keyboard in its source"
_SOUND = "sound comes from the client's own card, because the programs run there"
_VOLUME = "volumes are the image's: 'alsactl store' in its source, or the desktop's"
_STICKS = "USB sticks and discs are the client's own, and its desktop mounts them"
_GREETER = "the login is shown by the image's display manager, which has settings of its own"
_ELSEWHERE = "sessions on other computers are not there yet"
_PRINTER = "printers that are plugged into clients are not shared yet; CUPS in the image can print to them"

# The first row that fits counts.
KEYS = (
    # Names and values that stay.
    _same("DNS_SERVER"),
    _same("SEARCH_DOMAIN"),
    _same("SERVER"),
    _same("FSTAB_*"),
    _same("KEEP_SYSTEM_SERVICES"),
    _same("CRONTAB_*"),
    _same("CUPS_SERVER"),
    _same("TIMEZONE"),
    _same("LANG"),
    _same("X_VERTREFRESH"),
    _same("X_VIRTUAL"),
    _same("NBD_SWAP", "it is a size now, and was 512 MB by default", _swap),
    _now("RM_SYSTEM_SERVICES", "MASK_SYSTEM_SERVICES"),
    _now("LDM_LANGUAGE", "LANG"),
    _now("USE_LOCAL_SWAP", "LOCAL_SWAP", read=_flag),
    _now("TIMESERVER", "NTP_SERVER"),
    _now("XSERVER", "X_DRIVER"),
    _now("X_HORZSYNC", "X_HORIZSYNC"),
    _now("XRANDR_MODE_0", "X_PREFERREDMODE"),
    # What follows from several names.
    _now("X_MODE_[0-9]", "X_MODES", "all of them are one list now"),
    _same("HOSTNAME"),
    _now("HOSTNAME_BASE", "HOSTNAME", "%{IP} is the number of the client in its network"),
    _now("HOSTNAME_EXTRA", "HOSTNAME", "%{IP} or %{MAC} in it says the same"),
    _now("LDM_AUTOLOGIN", "AUTOLOGIN"),
    _now("LDM_USERNAME", "AUTOLOGIN"),
    _gone("LDM_PASSWORD", "it is not copied: AUTOLOGIN needs no password"),
    # What has no meaning any more.
    Key("SCREEN_07", "RDP_SERVER says whose desktop is shown", "SESSION", _rdp, "*rdesktop*", gone=False),
    Key("SCREEN_07", "RDP_SERVER says whose desktop is shown", "SESSION", _rdp, "*freerdp*", gone=False),
    _gone("SCREEN_[0-9]*", _GREETER, "ldm*"),
    _gone("SCREEN_[0-9]*", "the image's display manager starts the session", "startx*"),
    _later("SCREEN_[0-9]*", f"SESSION can be kiosk, rdp, x11 or terminal, on one screen; other {_ELSEWHERE}"),
    _gone("SCREEN_DEFAULT", _GREETER),
    _gone("LDM_SERVER", _THERE),
    _gone("LDM_DIRECTX", f"no X goes over the network: {_THERE}; SESSION=x11 has X11_UNENCRYPTED"),
    _gone("LDM_SSH*", _THERE),
    _gone("LDM_REMOTECMD", _THERE),
    _gone("LDM_GUESTLOGIN", "there is no button for guests; AUTOLOGIN logs an account in by itself"),
    _gone("LDM_XSESSION", "the session is what the image's display manager starts, or what a person chooses"),
    _gone("LDM_SESSION", "the session is what the image's display manager starts, or what a person chooses"),
    _gone("LDM_PRINTER_*", "which printers people see is set in CUPS"),
    _gone("LDM_LIMIT_ONE_SESSION*", "each client has sessions of its own"),
    _gone("LDM_*", _GREETER),
    _gone("LTSP_FATCLIENT", f"all clients are what LTSP called fat: {_THERE}"),
    _gone("FAT_RAM_THRESHOLD", f"all clients are what LTSP called fat: {_THERE}"),
    _gone("RM_THIN_SYSTEM_SERVICES", f"there are no thin clients: {_THERE}"),
    _gone("LOCAL_APPS_EXTRAMOUNTS", "FSTAB_x mounts other directories of the server on clients"),
    _gone("LOCAL_APPS*", f"all {_THERE}"),
    _gone("LOCALAPPS*", f"all {_THERE}"),
    _later("LOCALDEV_DENY*", "a rule of udev or polkit in the image can keep people from sticks and discs"),
    _gone("LOCALDEV*", _STICKS),
    _gone("SOUND*", _SOUND),
    _gone("*VOLUME", _VOLUME),
    _gone("NETWORK_COMPRESSION", _THERE),
    _gone("SSH_*", "logins have their own connection; LOGIN_PORT in [server] is its port"),
    _gone("CONFIGURE_FSTAB", "the image's fstab is always replaced"),
    _gone("CONFIGURE_X", _XORG),
    _gone("XFS_SERVER", "X has fonts of its own today"),
    _gone("USE_XFS", "X has fonts of its own today"),
    _gone("USE_TFTP", "clients get their settings with their boot files"),
    _gone("PXE_CONFIG", "the boot menu is made for each client"),
    _gone("NBD_SWAP_*", "the server has one port for all of NBD; NBD_SWAP is the size for a client"),
    _gone("MODULE_[0-9]*", "drivers load by themselves; others in /etc/modules-load.d of the image"),
    _gone("INIT_COMMAND_*", "commands at the start of clients are units of systemd in the image"),
    _gone("RCFILE_[0-9]*", "scripts at the start of clients are units of systemd in the image"),
    _gone("X_COLOR_DEPTH", "X and Wayland show 24 bits a pixel"),
    _gone("X_SMART_COLOR_DEPTH", "X and Wayland show 24 bits a pixel"),
    _gone("X_RAMPERC", "the client's memory is for its own programs"),
    _gone("X_NUMLOCK", "numlockx in the image, or a setting of the display manager, does it"),
    _gone("X_BLANKING", "the desktop's settings say when the screen goes dark"),
    _gone("X_CONF", "put that file into the image as /etc/X11/xorg.conf"),
    _gone("X_MOUSE_*", _XORG),
    _gone("X_TOUCH_*", _XORG),
    _gone("X_VIDEO_RAM", _XORG),
    _gone("X_OPTION_*", _XORG),
    _gone("X_MONITOR_OPTION_*", _XORG),
    _gone("USE_TOUCH", _XORG),
    _gone("DISABLE_ACCESSX", "the desktop's settings say it"),
    _gone("LTSP_CONFIG", "clients always read ltsp.conf"),
    _gone("INVENTORY_NUMBER", "nothing reads it"),
    # What has a meaning that isn't there yet.
    _later("XKB*", _KEYBOARD),
    _later("CONSOLE_KEYMAP", _KEYBOARD),
    _later("XRANDR_*", _SCREEN),
    _later("DPI", _SCREEN),
    _later("SYSLOG_HOST", "logs stay on clients; rsyslog in the image can send them"),
    _later("SHUTDOWN_TIME", "'ltspctl client poweroff --all' by a timer of the server does it"),
    _later("PRINTER_*", _PRINTER),
    _later("SCANNER", "scanners are the client's own; they are not shared"),
    _later("XDM_SERVER", _ELSEWHERE),
    _later("TELNET_HOST", _ELSEWHERE),
    _same("RDP_SERVER", "SESSION=rdp shows it"),
    _later("RDP_*", "those were for rdesktop; RDP_OPTIONS has options of FreeRDP"),
    _later("VNC_*", _ELSEWHERE),
    _now("KIOSK_EXE", "KIOSK_COMMAND", "SESSION=kiosk shows it"),
    _later("KIOSK_*", "SESSION=kiosk shows one page (KIOSK_URL) or program (KIOSK_COMMAND) alone"),
    _later("HTTP_PROXY", "the image's settings count: /etc/environment in its source"),
)
