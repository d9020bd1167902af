"""``python -m bench.waiting ADDRESS COUNT``: clients that wait for news, and fetch accounts as real ones do.

What a real client does with a document costs its own processor, so it is left out here. Prints a line for
each document that a client has got: its number, and the time (CLOCK_MONOTONIC).
"""

import asyncio
import hashlib
import random
import sys
import time
import uuid

# Addresses of the LAN that they have.
SOURCES = 250


async def get(server: str, source: str, path: str) -> tuple[int, bytes]:
    """Return status and body of an answer."""
    reader, writer = await asyncio.open_connection(server, 80, local_addr=(source, 0))
    writer.write(f"GET {path} HTTP/1.1\r\nHost: server\r\nConnection: close\r\n\r\n".encode())
    data = await reader.read(-1)
    writer.close()
    head, _, body = data.partition(b"\r\n\r\n")
    return int(head.split()[1]) if head else 0, body


async def client(server: str, number: int) -> None:
    """Wait for news, for ever."""
    source, boot = f"192.168.67.{2 + number % SOURCES}", uuid.uuid4()
    mac, revision, known = f"52:54:00:00:{number >> 8:02x}:{number & 255:02x}", "", ""
    await asyncio.sleep(random.random() * 10)
    while True:
        try:
            status, body = await get(server, source, f"/ltsp/live?mac={mac}&boot={boot}&revision={revision}")
            news = dict(line.split("=", 1) for line in body.decode().splitlines()) if status == 200 else {}
            if not news:
                raise ConnectionError
            await asyncio.sleep(random.random() * int(news.get("spread", "0")) / 1000)
            if news.get("accounts", known) != known:
                _, document = await get(server, source, "/ltsp/accounts")
                _, signature = await get(server, source, "/ltsp/accounts.sig")
                if hashlib.sha256(document).hexdigest() != news["accounts"] or b"SIGNATURE" not in signature:
                    raise ConnectionError
                known = news["accounts"]
                print(document.split(b"\n")[0].decode().removeprefix("serial="), time.monotonic(), flush=True)
            revision = news["revision"]
        except (OSError, ValueError):
            await asyncio.sleep(random.random() * 10)


async def main(server: str, count: int) -> None:
    """Run so many clients."""
    await asyncio.gather(*(client(server, number) for number in range(count)))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
