"""Names that ltsp.conf may never assign, because the client's shell or its programs obey them. Pure."""

import re

# The first word of a family, such as FSTAB_, is upper-case; what follows tells its members apart.
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
_PROMPT = re.compile(r"PS[0-9]\Z")


def is_parameter_name(name: str) -> bool:
    """Whether a name has the form of a parameter: ``NAME``, or ``NAME_`` and letters, digits, underscores."""
    return bool(_PARAMETER.match(name))


def is_reserved(name: str) -> bool:
    """Whether assigning the name could change how the client's own shell or programs run."""
    return name in _EXACT or name.startswith(_PREFIXES) or bool(_PROMPT.match(name))
