"""Rooms of `scribewire serve --workers 2`: it matters to nobody in which process they are."""

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from gateway.client import connect
from tests.gateway.dialing import hear, hear_all
from tests.gateway.two_gateways import WITHIN_S, WORKER, Gateways, two_gateways
from tests.speech import pcm16

SPEECH = pcm16("beckett.wav")[0][:320_000]
SECOND = 32_000

pytestmark = [pytest.mark.timeout(90), pytest.mark.xdist_group("shared-rooms")]


@pytest.fixture(scope="module")
def gateways(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateways]:
    with two_gateways(tmp_path_factory.mktemp("rooms")) as running:
        yield running


async def speak(socket: Any, audio: bytes = SPEECH) -> list[dict[str, Any]]:
    """What a publisher is told who says all of it."""
    for at in range(0, len(audio), SECOND):
        await socket.send(audio[at : at + SECOND])
    await socket.send('{"type": "stop"}')
    return await hear_all(socket)


async def until_left(socket: Any) -> list[dict[str, Any]]:
    """What a viewer gets until the speaker has gone."""
    seen = [await hear(socket)]
    while seen[-1]["type"] != "left":
        seen.append(await hear(socket))
    return seen


def lasting(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Without what gives way to newer text for a slow viewer."""
    return [each for each in messages if each["type"] != "partial"]


def texts(messages: list[dict[str, Any]]) -> list[str]:
    return [each["text"] for each in messages if each["type"] == "final"]


async def events(gateways: Gateways, pid: int, path: str) -> AsyncIterator[dict[str, Any]]:
    """What a viewer gets as server-sent events."""
    async with gateways.ask(pid, f"{path}/events") as reader, asyncio.timeout(WITHIN_S):
        while line := await reader.readline():
            if line.startswith(b"data: "):
                yield json.loads(line.removeprefix(b"data: "))


async def events_until_left(gateways: Gateways, pid: int, path: str) -> list[dict[str, Any]]:
    seen = []
    async for each in events(gateways, pid, path):
        seen.append(each)
        if each["type"] == "left":
            break
    return seen


class Following:
    """A viewer who comes back, at any process, and says up to where it has seen."""

    def __init__(self, gateways: Gateways, path: str) -> None:
        self._gateways, self._path = gateways, path
        self.seen: list[dict[str, Any]] = []
        self.came = 0
        self._task = asyncio.create_task(self._follow())

    async def _follow(self) -> None:
        while True:
            after = self.seen[-1]["seq"] if self.seen else 0
            with suppress(ConnectionClosed, InvalidStatus, OSError):
                async with self._gateways.dial(f"after={after}", path=self._path) as socket:
                    self.came += 1
                    async for frame in socket:
                        self.seen.append(json.loads(frame))
            await asyncio.sleep(0.05)

    @property
    def finals(self) -> list[str]:
        """The newest text of each segment, in their order."""
        said = {
            (each["session"], each["segment"]): each["text"]
            for each in self.seen
            if each["type"] == "final"
        }
        return [text for _, text in sorted(said.items())]

    async def until(self, finals: list[str]) -> None:
        """Until it has seen them; then it goes."""
        async with asyncio.timeout(WITHIN_S):
            while self.finals != finals:
                await asyncio.sleep(0.05)
        self._task.cancel()


async def test_viewers_of_all_processes_get_the_same_however_late_they_come(
    gateways: Gateways,
) -> None:
    here, there = gateways.pids(WORKER)
    path, before = "/v1/rooms/both", gateways.metric("scribewire_rooms")
    viewers = [await gateways.dial_to(pid, path=path) for pid in (here, there)]
    listeners = [
        asyncio.create_task(events_until_left(gateways, pid, path)) for pid in (here, there)
    ]
    async with asyncio.timeout(WITHIN_S):
        while gateways.metric("scribewire_viewers") != len(viewers + listeners):
            await asyncio.sleep(0.05)
    assert {gateways.metric("scribewire_rooms") for _ in range(7)} == {before + 1}
    told = await speak(await gateways.dial_to(here, "publish=both"))
    seen = [lasting(await until_left(viewer)) for viewer in viewers]
    heard = [lasting(await listener) for listener in listeners]

    assert texts(told) == texts(seen[0]) != []
    assert seen[1] == seen[0]
    assert seen[0][-len(heard[0]) :] == heard[0]
    assert texts(heard[1]) == texts(told)
    middle = seen[0][len(seen[0]) // 2]["seq"]
    rest = [each for each in seen[0] if each["type"] == "final" and each["seq"] > middle]
    for pid in (here, there):
        late = await gateways.dial_to(pid, path=path)
        back = await gateways.dial_to(pid, f"after={middle}", path=path)
        assert [(await hear(late))["text"] for _ in texts(told)] == texts(told)
        assert [await hear(back) for _ in rest] == rest
        await late.close()
        await back.close()
    for name in ("captions.vtt", "captions.json", "captions.m3u8", "captions/0.vtt"):
        files = [await gateways.get(pid, f"{path}/{name}") for pid in (here, there)]
        assert files[0] == files[1]
        assert files[0][0] == 200
    for viewer in viewers:
        await viewer.close()


async def test_a_newer_session_takes_the_room_from_one_of_another_process(
    gateways: Gateways,
) -> None:
    here, there = gateways.pids(WORKER)
    viewer = await gateways.dial_to(there, path="/v1/rooms/taken")
    older = await gateways.dial_to(here, "publish=taken")
    await hear(older)
    told = await speak(await gateways.dial_to(there, "publish=taken"))
    ended = await hear_all(older)
    first, rest = await until_left(viewer), await until_left(viewer)

    assert [each["code"] for each in ended] == ["replaced"]
    assert older.close_code == 4509
    assert [each["type"] for each in first] == ["left"]
    assert texts(rest) == texts(told) != []
    await viewer.close()


async def test_two_editors_of_two_processes_overwrite_nothing_unseen(gateways: Gateways) -> None:
    pids = gateways.pids(WORKER)
    path = "/v1/rooms/edited"
    told = await speak(await gateways.dial_to(pids[0], "publish=edited"))
    segment = next(each["segment"] for each in told if each["type"] == "final")
    editors = [await gateways.dial_to(pid, path=path) for pid in pids]
    for editor in editors:
        assert [(await hear(editor))["text"] for _ in texts(told)] == texts(told)
    wanted = {"type": "correct", "segment": segment, "revision": 0, "id": "mine"}
    for editor, text in zip(editors, ("Hers.", "His."), strict=True):
        await editor.send(json.dumps(wanted | {"text": text}))
    answers = [await hear(editor) for editor in editors]
    won = next(each["text"] for each in answers if each["type"] == "corrected")
    loser = editors[["Hers.", "His."].index(won) - 1]
    conflict = next((each for each in answers if each["type"] == "error"), None)
    conflict = conflict or await hear(loser)  # the other's correction may come first

    assert (conflict["code"], conflict["id"]) == ("conflict", "mine")
    assert (conflict["text"], conflict["revision"]) == (won, 1)
    for pid in pids:
        segments = json.loads((await gateways.get(pid, f"{path}/captions.json"))[1])["segments"]
        assert [each["text"] for each in segments] == [won, *texts(told)[1:]]
    for editor in editors:
        await editor.close()


async def test_processes_are_killed_amid_speech_and_no_viewer_misses_a_word(
    gateways: Gateways,
) -> None:
    async with gateways.dial() as socket:
        undisturbed = texts(await speak(socket))
    followers = [Following(gateways, "/v1/rooms/killed") for _ in range(6)]
    async with connect(
        gateways.server.ws, api_key=gateways.key, publish="killed", reconnect_s=WITHIN_S
    ) as session:

        async def say() -> None:
            await session.send(SPEECH[: 4 * SECOND])
            for pid in gateways.pids(WORKER):  # one of them is the speaker's, none has all viewers
                while session.confirmed_samples == 0:
                    await asyncio.sleep(0.02)
                await gateways.kill_each([pid])
            await session.send(SPEECH[4 * SECOND :])
            await session.stop()

        speaking = asyncio.create_task(say())
        async with asyncio.timeout(WITHIN_S):
            told = [event async for event in session]
            await speaking

    assert texts(told) == undisturbed
    for follower in followers:
        await follower.until(undisturbed)
        numbers = [each["seq"] for each in follower.seen]
        assert numbers == sorted(set(numbers))  # the room was never begun anew
    assert max(follower.came for follower in followers) > 1
    for pid in gateways.pids(WORKER):
        late = await gateways.dial_to(pid, path="/v1/rooms/killed")
        assert [(await hear(late))["text"] for _ in undisturbed] == undisturbed
        await late.close()


async def test_a_room_outlives_all_processes(gateways: Gateways) -> None:
    told = await speak(await gateways.dial("publish=kept"))
    await gateways.kill(WORKER)

    for pid in gateways.pids(WORKER):
        segments = json.loads((await gateways.get(pid, "/v1/rooms/kept/captions.json"))[1])
        assert [each["text"] for each in segments["segments"]] == texts(told)


async def test_a_process_without_sessions_waits_for_the_last_words_of_another(
    tmp_path: Path,
) -> None:
    with two_gateways(tmp_path) as gateways:
        here, there = gateways.pids(WORKER)
        viewer = await gateways.dial_to(there, path="/v1/rooms/drained")
        speaker = await gateways.dial_to(here, "publish=drained")
        await speaker.send(SPEECH[: 3 * SECOND])
        told = [await hear(speaker)]
        while told[-1]["type"] != "partial":
            told.append(await hear(speaker))
        os.kill(here, signal.SIGSTOP)
        gateways.process.send_signal(signal.SIGTERM)
        while "draining" not in [line["event"] for line in gateways.logged]:
            await asyncio.sleep(0.02)
        await asyncio.sleep(0.3)  # in which the viewer's process could end
        os.kill(here, signal.SIGCONT)
        told, seen = told + await hear_all(speaker), await hear_all(viewer)

        assert [each["type"] for each in seen][-2:] == ["done", "left"]
        assert texts(told) == texts(seen) != []
        assert viewer.close_code == 1012
        assert await asyncio.to_thread(gateways.process.wait, WITHIN_S) == 0
