"""Sessions that come, break off and come back, with a scripted server."""

import asyncio
import time

import pytest

from gateway.bench.client import RefusedError, SessionLog
from gateway.bench.plan import Ending, Kind, Load, Track, Visit
from gateway.bench.player import Player
from tests.gateway.client.peer import Peer, Script, peer, refusing_peer

TRACK = Track("x", b"".join(bytes([i, 0]) * 160 for i in range(100)))
"""1 s; each frame of 10 ms is of one value."""


async def played(url: str, *visits: Visit, together: bool = False) -> list[SessionLog]:
    logs: list[SessionLog] = []
    load = Load(url, (Kind(TRACK),), visits, frame_ms=10, together=together, linger_s=2)
    player = Player(load, logs.append)
    share = range(len(visits))
    if together:
        await player.connect(share)
    async with asyncio.timeout(20):
        await player.play(share, time.monotonic() + 0.05)
    return logs


async def polite(server: Peer) -> None:
    await server.ready()
    await server.hear_all()
    await server.done()


async def test_sessions_come_and_end_by_themselves() -> None:
    async with peer(polite) as url:
        began = time.monotonic()
        first, second = await played(url, Visit(0.3, 10), Visit(0.5, 20))

    assert [len(log.sent) for log in (first, second)] == [10, 20]
    assert first.began - began >= 0.3
    assert second.began - began >= 0.5
    assert first.connected_s is not None
    assert first.ended - first.began >= 0.1
    assert not first.failure


async def test_who_vanishes_breaks_off_and_that_is_no_failure() -> None:
    heard = []

    async def script(server: Peer) -> None:
        await server.ready()
        with pytest.raises(Exception, match="no close frame"):
            heard.extend([await server.hear() for _ in range(100)])

    async with peer(script) as url:
        [log] = await played(url, Visit(0, 5, ending="vanish"))

    assert (log.left, log.failure, len(log.sent)) == (True, "", 5)


@pytest.mark.parametrize("next_sample", [800, 720])
async def test_who_comes_back_goes_on_where_the_server_is(next_sample: int) -> None:
    """Also amid a frame: 720 is in the fifth one."""
    paths, heard = [], []

    async def script(server: Peer) -> None:
        paths.append(server.path)
        point = {"session": "s1", "resume": "secret"}
        if len(paths) == 1:
            await server.ready(**point)
            await server.final(3, "Yes.")
            await server.say("confirmed", samples=480, finalizes=0, checkpoint="c")
            await server.until_closed()
            return
        server.seq = 2
        await server.ready(**point, resumed=True, next_sample=next_sample, finalizes=0)
        heard.extend(await server.hear_all())
        await server.done()

    async with peer(script) as url:
        [log] = await played(url, Visit(0, 120, ending="resume"))

    for part in ("session=s1", "resume=secret", "last_seq=3", "last_segment=3", "from_sample=480"):
        assert part in paths[1]
    audio = b"".join(message["pcm"] for message in heard[1:-1])  # behind a ping
    sent = TRACK.pcm + bytes(320 * 20)
    assert audio == sent[next_sample * 2 :]
    assert (len(log.sent), log.failure, log.found) == (120, "", True)
    assert log.away is not None
    assert log.away[1] - log.away[0] >= 1


async def test_a_session_that_is_not_let_in_again_has_failed() -> None:
    count = 0

    async def script(server: Peer) -> None:
        nonlocal count
        count += 1
        if count > 1:
            await server.socket.close(4404)
            return
        await server.ready()
        await server.until_closed()

    async with peer(script) as url:
        [log] = await played(url, Visit(0, 10, ending="resume"))

    assert log.failure.startswith("could not come back: closed with 4404")
    assert log.away is None


def every_second_refused() -> Script:
    count = 0

    async def script(server: Peer) -> None:
        nonlocal count
        count += 1
        if count % 2:
            await polite(server)
        else:
            await server.socket.close(4429)

    return script


async def test_who_is_refused_is_counted() -> None:
    async with peer(every_second_refused()) as url:
        logs = await played(url, *(Visit(i / 5, 5) for i in range(4)))

    refused = [log for log in logs if log.connected_s is None]
    assert {log.index for log in refused} == {1, 3}
    assert {log.failure for log in refused} == {"closed with 4429 before it was done"}
    assert all(log.ended for log in refused)


async def test_the_first_must_be_let_in() -> None:
    async with refusing_peer(400, b"chunk_ms is odd") as url:
        with pytest.raises(RefusedError, match="refused with HTTP 400: chunk_ms is odd"):
            await played(url, Visit(0, 5), Visit(0.1, 5))


@pytest.mark.parametrize("ending", ["stop", "vanish"])
async def test_those_who_come_together_must_all_be_let_in(ending: Ending) -> None:
    async with peer(every_second_refused()) as url:
        with pytest.raises(RefusedError):
            await played(url, *[Visit(0, 5, ending=ending)] * 3, together=True)


async def test_a_session_that_does_not_end_is_given_up() -> None:
    async def script(server: Peer) -> None:
        await server.ready()
        await server.until_closed()

    async with peer(script) as url:
        [log] = await played(url, Visit(0, 5))

    assert log.failure == "not done 2 s after the end of the audio"
