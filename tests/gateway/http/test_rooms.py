"""Rooms over real sockets: who may follow, what a viewer gets, and what a token is good for."""

import json
from collections.abc import AsyncIterator, Iterator
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
from websockets.exceptions import ConnectionClosed

from gateway.access.keys import new_key
from gateway.access.limits import Limits
from gateway.errors import TooManySessions
from gateway.settings import Settings
from tests.conftest import QUICK_MODEL, Server, serving
from tests.gateway.dialing import dial, hear, hear_all, refused
from tests.speech import pcm16

pytestmark = pytest.mark.timeout(30)

KEY = new_key()
HOLDER = {"Authorization": f"Bearer {KEY}"}
SPEECH = pcm16("beckett.wav")[0]


@pytest.fixture(scope="module")
def keyed() -> Iterator[Server]:
    with serving(Settings(port=0, runner="thread", model=QUICK_MODEL, api_keys=KEY)) as running:
        yield running


@pytest.fixture(scope="module")
def open_to_all() -> Iterator[Server]:
    with serving(Settings(port=0, runner="thread", model=QUICK_MODEL)) as running:
        yield running


def token(server: Server, **body: Any) -> str:
    answer = httpx.post(
        f"{server.http}/v1/tokens", headers=HOLDER, json=body, trust_env=False, timeout=10
    )
    return str(answer.json()["token"])


async def speak(
    server: Server, query: str, audio: bytes = SPEECH, **options: Any
) -> list[dict[str, Any]]:
    """What the publisher of a short speech is told."""
    async with dial(server, query, **options) as socket:
        for at in range(0, len(audio), 32_000):
            await socket.send(audio[at : at + 32_000])
        await socket.send('{"type": "stop"}')
        return await hear_all(socket)


def finals(messages: list[dict[str, Any]]) -> list[str]:
    return [each["text"] for each in messages if each["type"] == "final"]


async def test_a_viewer_gets_what_the_publisher_gets(open_to_all: Server) -> None:
    async with dial(open_to_all, path="/v1/rooms/both") as viewer:
        told = await speak(open_to_all, "publish=both")
        seen = [await hear(viewer)]
        while seen[-1]["type"] != "left":
            seen.append(await hear(viewer))

    assert finals(told) == finals(seen) != []
    assert seen[-2]["type"] == "done"
    assert {each["session"] for each in seen} == {told[0]["session"]}


async def test_a_latecomer_gets_the_finals_over_both_ways(open_to_all: Server) -> None:
    told = await speak(open_to_all, "publish=late")
    expected = finals(told)
    async with dial(open_to_all, path="/v1/rooms/late") as viewer:
        assert [(await hear(viewer))["text"] for _ in expected] == expected

    url = f"{open_to_all.http}/v1/rooms/late/events"
    async with (
        httpx.AsyncClient(trust_env=False, timeout=10) as client,
        client.stream("GET", url) as answer,
    ):
        assert answer.headers["content-type"].startswith("text/event-stream")
        lines = answer.aiter_lines()
        data: list[str] = []
        while len(data) < len(expected):
            line = await anext(lines)
            if line.startswith("data: "):
                data.append(json.loads(line.removeprefix("data: "))["text"])
    assert data == expected


async def test_a_session_that_is_resumed_goes_on_in_its_room(open_to_all: Server) -> None:
    half = len(SPEECH) // 4 * 2
    async with dial(open_to_all, path="/v1/rooms/cut") as viewer:
        async with dial(open_to_all, "publish=cut") as speaker:
            ready = await hear(speaker)
            await speaker.send(SPEECH[:half])
            await hear(viewer)
            speaker.transport.abort()
        point = urlencode({name: ready[name] for name in ("session", "resume", "epoch")})
        # Even before the server has noticed that the old connection is gone.
        told = await speak(open_to_all, f"publish=cut&{point}", audio=SPEECH[half:])
        seen = [await hear(viewer)]
        while seen[-1]["type"] != "left":
            seen.append(await hear(viewer))

    assert told[0]["resumed"]
    assert finals(told) == finals(seen) != []
    assert {each["session"] for each in seen} == {ready["session"]}


async def test_a_new_session_takes_the_room_of_a_lost_one(open_to_all: Server) -> None:
    async with dial(open_to_all, "publish=taken") as older:
        await hear(older)
        told = await speak(open_to_all, "publish=taken")
        ended = await hear_all(older)

    assert finals(told)
    assert [each["code"] for each in ended] == ["replaced"]
    assert older.close_code == 4509


@pytest.mark.parametrize(
    "limits", [{"handshakes_per_minute": 1}, {"viewer_handshakes_per_minute": 1}]
)
def test_viewers_behind_one_address_have_a_limit_of_their_own(limits: dict[str, int]) -> None:
    counted = Limits(Settings(**limits), clock=lambda: 0.0)  # type: ignore[arg-type]
    viewing = "viewer_handshakes_per_minute" in limits
    counted.knock("203.0.113.7", viewing=viewing)
    for _ in range(100):
        counted.knock("203.0.113.7", viewing=not viewing)
    with pytest.raises(TooManySessions):
        counted.knock("203.0.113.7", viewing=viewing)


async def test_what_was_said_can_be_kept(open_to_all: Server) -> None:
    first, second = [await speak(open_to_all, "publish=kept") for _ in range(2)]
    at = "/v1/rooms/kept/captions"
    lines = [text.strip() for text in finals(first) + finals(second)]

    assert open_to_all.get(f"{at}.txt").text.splitlines() == lines
    segments = open_to_all.get(f"{at}.json").json()["segments"]
    assert [each["text"].strip() for each in segments] == lines
    assert {each["session"] for each in segments} == {first[0]["session"], second[0]["session"]}
    starts = [each["start_ms"] for each in segments]
    assert starts == sorted(starts)
    one = open_to_all.get(f"{at}.json?session={second[0]['session']}").json()["segments"]
    assert [each["text"].strip() for each in one] == lines[len(finals(first)) :]
    vtt, srt = (open_to_all.get(f"{at}.{name}") for name in ("vtt", "srt"))
    assert vtt.headers["content-type"].startswith("text/vtt")
    assert vtt.text.startswith("WEBVTT\n\n00:00:0")
    for written in (vtt.text, srt.text):
        words = [line for line in written.splitlines() if line.startswith("word")]
        assert " ".join(words).split() == " ".join(lines).split()


@pytest.mark.parametrize(("path", "status"), [("kept/captions.doc", 404), ("x/captions.vtt", 404)])
def test_what_cannot_be_kept_is_not_found(open_to_all: Server, path: str, status: int) -> None:
    assert open_to_all.get(f"/v1/rooms/{path}").status_code == status


async def test_a_viewer_only_listens(keyed: Server) -> None:
    viewers = token(keyed, role="viewer", room="quiet")
    async with dial(keyed, f"token={viewers}", path="/v1/rooms/quiet") as viewer:
        await viewer.send('{"type": "correct", "segment": 0, "text": "", "revision": 0}')
        with pytest.raises(ConnectionClosed):
            await hear(viewer)
    assert viewer.close_code == 1008


async def test_a_bad_name_is_refused(open_to_all: Server) -> None:
    assert (await refused(open_to_all, "publish=a+b"))[1]["code"] == "invalid_option"
    assert (await refused(open_to_all, path="/v1/rooms/a.b"))[1]["code"] == "invalid_option"
    assert open_to_all.get("/v1/rooms/a.b/events").status_code == 400


async def test_an_editor_corrects_what_everybody_then_sees(keyed: Server) -> None:
    told = await speak(keyed, "publish=edited", additional_headers=HOLDER)
    said = finals(told)
    segment = next(each["segment"] for each in told if each["type"] == "final")
    editors, viewers = (token(keyed, role=role, room="edited") for role in ("editor", "viewer"))
    path = "/v1/rooms/edited"
    async with (
        dial(keyed, f"token={viewers}", path=path) as viewer,
        dial(keyed, f"token={editors}", path=path) as first,
        dial(keyed, additional_headers=HOLDER, path=path) as second,  # a key may do all
    ):
        for socket in (viewer, first, second):
            assert finals([await hear(socket) for _ in said]) == said
        wanted = {"type": "correct", "segment": segment, "revision": 0, "id": "mine"}
        await first.send(json.dumps(wanted | {"text": "Better."}))
        for socket in (viewer, first, second):
            news = await hear(socket)
            assert (news["type"], news["text"], news["revision"]) == ("corrected", "Better.", 1)
        await second.send(json.dumps(wanted | {"text": "Worse."}))
        refusal = await hear(second)
        assert (refusal["code"], refusal["id"]) == ("conflict", "mine")
        assert (refusal["revision"], refusal["text"]) == (1, "Better.")
        for wrong in (
            "?",
            b"?",
            '{"type": "correct"}',
            json.dumps(wanted | {"segment": 99, "text": ""}),
        ):
            await second.send(wrong)
            assert (await hear(second))["code"] == "invalid_message"
        await second.send(json.dumps(wanted | {"text": "Best.", "revision": 1}))
        assert [(await hear(each))["revision"] for each in (viewer, first, second)] == [2] * 3

    corrected = ["Best.", *said[1:]]
    async with dial(keyed, f"token={viewers}", path=path) as late:
        assert finals([await hear(late) for _ in said]) == corrected
    seen = f"token={viewers}&after={news['seq']}"
    async with dial(keyed, seen, path=path) as back:
        assert (await hear(back))["text"] == "Best."
    bearer = f"Bearer {viewers}"
    segments = keyed.get(f"{path}/captions.json", Authorization=bearer).json()["segments"]
    assert [each["text"] for each in segments] == corrected
    assert "\nBest.\n" in keyed.get(f"{path}/captions.vtt", Authorization=bearer).text
    url, held = f"{keyed.http}{path}/events?after={news['seq']}", {"Authorization": bearer}
    async with (
        httpx.AsyncClient(trust_env=False, timeout=10) as client,
        client.stream("GET", url, headers=held) as answer,
    ):
        lines = [line async for line in _until_data(answer)]
    assert json.loads(lines[-1].removeprefix("data: "))["type"] == "corrected"
    assert (await refused(keyed, f"token={editors}"))[0] == 401  # opens no session


async def _until_data(answer: httpx.Response) -> AsyncIterator[str]:
    async for line in answer.aiter_lines():
        yield line
        if line.startswith("data: "):
            return


async def test_with_keys_a_room_is_not_for_everybody(keyed: Server) -> None:
    assert (await refused(keyed, path="/v1/rooms/a"))[0] == 401
    for path in ("events", "captions.vtt", "captions.m3u8", "captions/0.vtt"):
        assert keyed.get(f"/v1/rooms/a/{path}").status_code == 401


async def test_a_viewers_token_is_for_its_room_and_nothing_else(keyed: Server) -> None:
    viewers = token(keyed, role="viewer", room="a")
    for _ in range(2):  # pages reconnect
        async with dial(keyed, f"token={viewers}", path="/v1/rooms/a"):
            pass

    for path, query in (("/v1/rooms/b", ""), ("/v1/stream", ""), ("/v1/stream", "publish=a&")):
        assert (await refused(keyed, f"{query}token={viewers}", path=path))[0] == 401


async def test_a_publishers_token_speaks_in_its_room_only(keyed: Server) -> None:
    speakers = token(keyed, role="publisher", room="a", single_use=False)
    plain = token(keyed, single_use=False)

    assert finals(await speak(keyed, f"publish=a&token={speakers}"))
    assert (await refused(keyed, f"publish=b&token={speakers}"))[0] == 401
    assert (await refused(keyed, f"publish=a&token={plain}"))[0] == 401
    assert (await refused(keyed, f"token={plain}", path="/v1/rooms/a"))[0] == 401


@pytest.mark.parametrize("body", [{"role": "viewer"}, {"room": "a"}, {"role": "x", "room": "a"}])
def test_role_and_room_come_together(keyed: Server, body: dict[str, str]) -> None:
    answer = httpx.post(f"{keyed.http}/v1/tokens", headers=HOLDER, json=body, trust_env=False)

    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_message")
