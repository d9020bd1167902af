"""The listener's program, without what it never uses of the standard library: it speaks to nobody."""

import sys

# asyncio does without OpenSSL where there is none; it would take 4.6 MB of memory.
for _name in ("ssl", "_ssl", "_hashlib"):
    sys.modules[_name] = None  # type: ignore[assignment]  # the import fails then, as it does without OpenSSL

from ltspd.listener.serve import main  # noqa: E402 (the modules above must be left out before)

if __name__ == "__main__":
    sys.exit(main())
