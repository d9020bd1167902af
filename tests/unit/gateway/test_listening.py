"""The gateway's sockets, when the table changes while one that is missing is tried again."""

import asyncio
import errno

import pytest

from ltspd.gateway import listening
from ltspd.gateway.listening import Listeners
from tests.worlds.gateways import free_port


async def test_what_is_not_wanted_any_more_is_not_opened_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    places = sorted(("127.0.0.1", port) for port in {free_port(), free_port(), free_port()})
    wanted = dict.fromkeys(places, asyncio.Protocol)
    listeners = Listeners(8, lambda: None)

    def taken(*_: object) -> None:
        raise OSError(errno.EADDRINUSE, "Address already in use")

    with monkeypatch.context() as patch:
        patch.setattr(listening, "_listening", taken)
        await listeners.follow(wanted)
    assert set(listeners.missing) == set(wanted)
    last = {places[-1]: asyncio.Protocol}
    await asyncio.gather(listeners._tried_again(), listeners.follow(last))
    assert (set(listeners.places), listeners.missing) == (set(last), {})
    for place in places[:-1]:
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(*place)
    await listeners.close()
