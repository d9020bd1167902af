"""Which parameters must never leave the server, by name, by content or by what they are made from."""

import re

from ltspd.config.document import Document
from ltspd.config.evaluate import made_from
from ltspd.config.parameters import is_secret

# crypt(5) hashes, base64 or PEM private keys: whatever the parameter is called.
_SECRET_TEXT = re.compile(
    r"\$(?:1|2[abxy]?|5|6|7|y|gy|sha1|md5|argon2[id]{1,2})\$[./A-Za-z0-9,=$-]{8}"
    r"|-----BEGIN [A-Z0-9 ]*PRIVATE KEY"
)


def withheld(document: Document) -> frozenset[str]:
    """Return the names whose values no client may fetch, in any section.

    A parameter made from a secret is one too, so ``X="$PASSWORDS_A"`` gives nothing away.
    """
    secret: set[str] = set()
    for section in document.sections:
        for each in section.assignments:
            literal = "".join(part for part in each.parts if isinstance(part, str))
            if is_secret(each.name) or _SECRET_TEXT.search(literal):
                secret.add(each.name)
            secret.update(filter(is_secret, each.references))
    return made_from(document, secret)
