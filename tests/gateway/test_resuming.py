"""Who may take a session up again, and what comes first then."""

import asyncio
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import pytest
from websockets.exceptions import InvalidStatus

from gateway.settings import Settings
from tests.conftest import QUICK_MODEL, Server, serving
from tests.gateway.dialing import check_alive, dial, hear, hear_all
from tests.speech import pcm16

pytestmark = pytest.mark.timeout(30)

SPEECH = pcm16("beckett.wav")[0]
KEYS = ("first-key-of-many-characters-0001", "second-key-of-many-characters-002")
Event = dict[str, Any]


def quick(**settings: Any) -> Any:
    return serving(Settings(port=0, runner="thread", model=QUICK_MODEL, **settings))


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with quick(api_keys=",".join(KEYS)) as running:
        yield running


def bearer(key: str) -> dict[str, Any]:
    return {"additional_headers": {"Authorization": f"Bearer {key}"}}


def point(ready: Event, **more: object) -> str:
    return urlencode({name: ready[name] for name in ("session", "resume", "epoch")} | more)


async def lost(
    server: Server, key: str = KEYS[0], *, until: str = "final"
) -> tuple[Event, list[Event]]:
    """Speaks until such a message came, and loses the connection: `ready`, and all heard."""
    events: list[Event] = []
    async with dial(server, **bearer(key)) as socket:
        await socket.send(SPEECH)
        while not events or events[-1]["type"] != until:
            events.append(await hear(socket))
        socket.transport.abort()
    async with asyncio.timeout(5):
        while not server.metric("scribewire_sessions_detached"):
            await asyncio.sleep(0.01)
    return events[0], events


async def back(server: Server, query: str, key: str = KEYS[0]) -> list[Event]:
    """Comes back and stops: all that was heard."""
    async with dial(server, query, **bearer(key)) as socket:
        await socket.send('{"type": "stop"}')
        return await hear_all(socket)


async def test_what_was_missed_follows_each_once(server: Server) -> None:
    ready, heard = await lost(server)
    seen = len(heard) // 2

    again = await back(server, point(ready, last_seq=heard[seen - 1]["seq"]))

    assert (again[0]["type"], again[0]["resumed"], again[0]["seq"]) == ("ready", True, seen)
    assert again[0]["next_sample"] == len(SPEECH) // 2
    assert [event["seq"] for event in again] == list(range(seen, seen + len(again)))
    assert again[1 : len(heard) - seen + 1] == heard[seen:]
    assert again[-1]["type"] == "done"


@pytest.mark.parametrize("wrong", ["secret", "key", "epoch", "seq", "session"])
async def test_who_is_not_the_same_finds_nothing_and_is_not_told_why(
    server: Server, wrong: str
) -> None:
    ready, heard = await lost(server)
    claims = {
        "secret": {"resume": "A" * len(ready["resume"])},
        "epoch": {"epoch": ready["epoch"] + 1},
        "seq": {"last_seq": heard[-1]["seq"] + 50},
        "session": {"session": "0" * 32},
    }
    query = point(ready | claims.get(wrong, {}), **claims.get(wrong, {}))
    again = await back(server, query, KEYS[wrong == "key"])

    assert again[0]["resumed"] is False
    assert (again[0]["seq"], again[0]["next_sample"]) == (1, 0)
    assert again[0]["epoch"] != ready["epoch"]
    assert again[0]["resume"] != ready["resume"]
    # The one whose it is still finds it.
    assert (await back(server, point(ready, last_seq=heard[-1]["seq"])))[0]["resumed"]


async def test_who_lost_audio_that_the_server_never_had_is_told(server: Server) -> None:
    """Never a partial recovery passed off as whole."""
    ready, heard = await lost(server, until="confirmed")
    end, confirmed = len(SPEECH) // 2, heard[-1]
    claims = {"last_seq": heard[-1]["seq"], "checkpoint": confirmed["checkpoint"]}

    again = await back(server, point(ready, from_sample=end + 16_000, **claims))

    assert again[0]["resumed"] is False
    [gap] = [event for event in again if event["type"] == "warning"]
    assert (gap["code"], gap["to_ms"]) == ("audio_gap", (end + 16_000) // 16)
    assert gap["from_ms"] == confirmed["samples"] // 16


async def test_half_a_point_is_refused_by_name(server: Server) -> None:
    with pytest.raises(InvalidStatus) as refusal:
        await dial(server, "session=" + "0" * 32, **bearer(KEYS[0]))
    assert refusal.value.response.status_code == 400


async def test_the_newer_of_two_connections_wins(server: Server) -> None:
    async with dial(server, **bearer(KEYS[0])) as older:
        ready = await hear(older)
        await older.send(SPEECH[:3200])
        await check_alive(older)
        async with dial(server, point(ready, last_seq=2), **bearer(KEYS[0])) as newer:
            assert (await hear(newer))["resumed"]
            await check_alive(newer)
            await hear_all(older)
            assert older.close_code == 4509


async def test_what_is_kept_is_bounded() -> None:
    """As many sessions as there are places: the one that was lost first makes room."""
    with quick(api_keys=KEYS[0], max_sessions=2) as server:
        kept = [await lost(server) for _ in range(3)]
        kept.reverse()
        found = [(await back(server, point(r, last_seq=h[-1]["seq"])))[0] for r, h in kept]

    assert [each["resumed"] for each in found] == [True, True, False]


async def test_it_is_kept_for_a_while() -> None:
    with quick(api_keys=KEYS[0], resume_window_s=0.5) as server:
        ready, heard = await lost(server)
        async with asyncio.timeout(5):
            while server.metric("scribewire_sessions_detached"):
                await asyncio.sleep(0.05)
        again = await back(server, point(ready, last_seq=heard[-1]["seq"]))

    assert not again[0]["resumed"]
