#!/bin/sh
# aiohttp 3.8 (Debian 12 has 3.8.4): `await site.stop()` of one TCPSite ends the connections of all sites of its runner.
#
# It waits for transfers that came by other addresses, for up to shutdown_timeout (60 s unless told), and then cuts
# them. A server that stops listening on an address that went away so breaks the downloads of all others. In 3.9.5
# and 3.14.2 only the listening socket of that site is closed, at once, and transfers go on.
#
# Here: two sites of one runner, a download of 8,000 bytes in 2 s by the first; the second is stopped meanwhile.
# Seen with Python 3.11.2 on Debian 12, 2026-11-29:
#   3.8.4: stop waited for the transfer: yes, transfer whole: no
#   3.9.5: stop waited for the transfer: no, transfer whole: yes
#   3.14.2: stop waited for the transfer: no, transfer whole: yes
set -eu

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cat >"$work/ask.py" <<'PY'
import asyncio
import time
import warnings

import aiohttp
from aiohttp import web

# 3.9 and later want shutdown_timeout at the runner, which 3.8 does not know.
warnings.simplefilter("ignore")
WHOLE, PIECES, PAUSE, PATIENCE = 8000, 8, 0.25, 0.5


async def slow(request):
    answer = web.StreamResponse()
    await answer.prepare(request)
    for _ in range(PIECES):
        await answer.write(b"x" * (WHOLE // PIECES))
        await asyncio.sleep(PAUSE)
    return answer


async def main():
    app = web.Application()
    app.router.add_get("/", slow)
    runner = web.AppRunner(app)
    await runner.setup()
    sites = [web.TCPSite(runner, "127.0.0.1", 0, shutdown_timeout=PATIENCE) for _ in range(2)]
    for site in sites:
        await site.start()
    port = runner.addresses[0][1]
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET / HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n")
    await reader.readuntil(b"\r\n\r\n")
    began = time.monotonic()
    await sites[1].stop()
    waited = time.monotonic() - began >= PATIENCE
    got = (await reader.read()).count(b"x")
    writer.close()
    await runner.cleanup()
    said = ["no", "yes"]
    print(f"{aiohttp.__version__}: stop waited for the transfer: {said[waited]}, transfer whole: {said[got == WHOLE]}")


asyncio.run(main())
PY

for version in 3.8.4 3.9.5 3.14.2; do
    python3 -m venv "$work/$version"
    "$work/$version/bin/pip" install -q --disable-pip-version-check "aiohttp==$version" 2>/dev/null
    "$work/$version/bin/python" "$work/ask.py"
done >"$work/seen"
cat "$work/seen"
cat >"$work/expected" <<'END'
3.8.4: stop waited for the transfer: yes, transfer whole: no
3.9.5: stop waited for the transfer: no, transfer whole: yes
3.14.2: stop waited for the transfer: no, transfer whole: yes
END
diff -u "$work/expected" "$work/seen" && echo "as stated above"
