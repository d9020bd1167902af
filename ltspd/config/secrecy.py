"""What must never leave the server: by name, by value, by what it is made from; code with such text. Pure."""

import re
from collections.abc import Container

from ltspd.config.document import Code, Document
from ltspd.config.evaluate import made_from
from ltspd.config.parameters import is_secret

# Values that look like secrets, whatever the parameter's name. A reference is "$" in this text.
_SECRET_TEXT = re.compile(
    # Hashes of crypt(5), of LDAP, and private keys.
    r"\$(?:1|2[abxy]?|5|6|7|y|gy|sha1|md5|apr1|argon2[id]{1,2})\$[./A-Za-z0-9,=$-]{8}"
    r"|\{S?(?:SHA|MD5|CRYPT)[0-9]*\}[./A-Za-z0-9+=$]{8}"
    r"|-----BEGIN [A-Z0-9 ]*PRIVATE KEY"
    # Options of mounts (mount.cifs(8), also user=NAME%PASSWORD), of wireless networks and of programs.
    r"|(?<![a-z0-9])(?:pass|passwd|password2?|passphrase|pwd|psk|secret|token|api[_-]?key|wep_key[0-9])"
    r"(?:\s?=|:)\s?['\"]?[^\s,;&'\"]"
    # The kernel's parameters for installers and systemd, such as inst.vncpassword=.
    r"|(?:password2?|passphrase|rootpw)=['\"]?[^\s,;&'\"]"
    r"|set_credential(?:_binary)?=[^\s:]*password"
    r"|--?(?:pass|password|passphrase|passwd|token|secret)\s+[^\s,;&-]"
    r"|(?<![a-z])user(?:name)?=[^\s,%]*%[^\s,]"
    # user:password@host, with or without a scheme; mailto: is followed by no password.
    r"|(?<![a-z0-9])(?!mailto:)[a-z0-9._$-]+:[^\s:/@]+@[a-z0-9$\[]"
    r"|://[^\s/@:]*:[^\s/@]+@"
    r"|bearer\s+[a-z0-9._$-]{8}"
    # Programs that get a password as an argument; FreeRDP.
    r"|(?<![a-z0-9])(?:chpasswd|htpasswd|smbpasswd|sshpass|wpa_passphrase|usermod\s[^;]*-p)(?![a-z0-9])"
    r"|(?<!\S)/(?:g?p:|gateway:(?:\S*,)?p:)[^\s,]",
    re.IGNORECASE,
)

_SET = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)\+?=")


def withheld(document: Document) -> frozenset[str]:
    """Return the names whose values no client may fetch, whatever section they are in.

    A parameter that is made from a secret is one, too: ``X="$PASSWORDS_A"``.
    """
    secret: set[str] = set()
    for section in document.sections:
        for each in section.assignments:
            text = "".join(part if isinstance(part, str) else "$" for part in each.parts)
            if is_secret(each.name) or _SECRET_TEXT.search(text):
                secret.add(each.name)
            secret.update(filter(is_secret, each.references))
    return made_from(document, secret)


def has_secret(text: str) -> bool:
    """Whether code holds a secret, or names a parameter that is one and its value."""
    return bool(_SECRET_TEXT.search(text)) or any(map(is_secret, _SET.findall(text)))


def is_secret_code(code: Code, hidden: Container[str]) -> bool:
    """Whether code holds a secret in its text, or sets a parameter that is one (``hidden``: see withheld)."""
    return has_secret(code.text) or any(name in hidden for name in code.names)
