"""The gateway's program, without what it never uses of the standard library: it speaks plain HTTP."""

import sys

# asyncio, aiohttp and hashlib do without OpenSSL where there is none; it would take 4.6 MB of memory.
for _name in ("ssl", "_ssl", "_hashlib"):
    sys.modules[_name] = None  # type: ignore[assignment]  # the import fails then, as it does without OpenSSL

from ltspd.gateway.serve import main  # noqa: E402 (the modules above must be left out before)

# What is imported by now does without it. A password needs it (ltspd.menu.lock).
del sys.modules["_hashlib"]

if __name__ == "__main__":
    sys.exit(main())
