"""Names in ltsp.conf: their form, those that can't be assigned, and those of LTSP. Pure."""

import re

# The first word, such as FSTAB_ of a family, is upper-case; the rest may be in lower case.
_PARAMETER = re.compile(r"[A-Z][A-Z0-9]*(?:_[A-Za-z0-9_]*)?\Z")
# Variables with a meaning of their own in POSIX sh, busybox ash, dash, bash, glibc's loader and resolver.
_EXACT = frozenset(
    {
        "CDPATH", "COLUMNS", "DIRSTACK", "ENV", "EUID", "FCEDIT", "FUNCNAME", "GCONV_PATH", "GETCONF_DIR",
        "GLOBIGNORE", "GROUPS", "HISTCMD", "HISTFILE", "HISTFILESIZE", "HISTSIZE", "HOME", "HOSTALIASES",
        "IFS", "INIT_VERSION", "LANGUAGE_PATH", "LINENO", "LINES", "LOCALDOMAIN", "LOCPATH", "LOGNAME",
        "MAIL", "MAILCHECK", "MAILPATH", "NLSPATH", "OLDPWD", "OPTARG", "OPTERR", "OPTIND", "PATH",
        "PIPESTATUS", "POSIXLY_CORRECT", "PPID", "PROMPT_COMMAND", "PWD", "RANDOM", "RESOLV_HOST_CONF",
        "RES_OPTIONS", "SECONDS", "SHELL", "SHELLOPTS", "SHLVL", "TERMINFO", "TIMEFORMAT", "TMOUT", "TMPDIR",
        "TZDIR", "UID", "EPOCHREALTIME", "EPOCHSECONDS", "SRANDOM",
    }
)  # fmt: skip
_PREFIXES = ("BASH", "DBUS_", "GLIBC_", "LC_", "LD_", "MALLOC_", "PERL5", "PYTHON", "SYSTEMD_")
# LTSP's parameters that had no effect here at first. A file that sets one is accepted, but while nothing
# declares it, there is a warning (parameters.unread, and former for those that mean nothing any more).
OF_LTSP = (
    "DNS", "NAT", "BASE_DIR", "TFTP_DIR", "HOME_DIR", "TIMEZONE", "DEBUG_LOG", "LOCAL_SWAP", "AUTOLOGIN",
    "RELOGIN", "PASSWORDS_*", "MULTISEAT", "CUPS_SERVER", "GDM3_CONF", "LIGHTDM_CONF", "SDDM_CONF",
    "SLICK_CONF", "DISABLE_SESSION_SERVICES", "DISABLE_SYSTEM_SERVICES", "KEEP_SESSION_SERVICES",
    "MASK_SESSION_SERVICES", "PWMERGE_SUR", "PWMERGE_SGR", "PWMERGE_DUR", "PWMERGE_DGR", "CRONTAB_*",
    "UDEV_SEAT_*", "LANG", "LANGUAGE", "NFS_HOME", "BINARIES", "BACKUP", "CLEANUP", "IN_PLACE", "OVERWRITE",
    "NFS_TFTP", "HTTP", "HTTP_IMAGE", "HTTP_IMAGES", "RPI_IMAGE", "HTTP_TFTP", "HTTP_INDEX", "IONICE",
    "KERNEL_INITRD", "MKSQUASHFS_PARAMS", "REVERT", "HOSTNAME_PREFIX", "IGNORE_EPOPTES", "IMAGE",
    "LTSPDM_USERS", "OVERLAY", "PAM_AUTH_TYPE", "REMOTEAPPS", "SSH_OPTIONS", "SSH_SERVER", "OMIT_FUNCTIONS",
    "LTSP_DEBUG", "LTSP_SKIP_SCRIPTS", "SSHFS", "MKHOMEDIR", "READ_AHEAD_KB", "RELOGIN_TIMEOUT",
    "SYMLINK_SNAPS", "ADMINISTRATIVE_CLIENT", "ALL_IMAGES", "PRE_*", "POST_*",
)  # fmt: skip

_PROMPT = re.compile(r"PS[0-9]\Z")


def is_parameter_name(name: str) -> bool:
    """Whether a name has the form of a parameter: ``NAME``, or ``NAME_`` and letters, digits, underscores."""
    return bool(_PARAMETER.match(name))


def is_reserved(name: str) -> bool:
    """Whether assigning the name could change how a client's shell or programs run."""
    return name in _EXACT or name.startswith(_PREFIXES) or bool(_PROMPT.match(name))
