"""A room as a player of HTTP Live Streaming sees it, while it is spoken in and after."""

import io
from collections.abc import AsyncIterator

import httpx
import m3u8
import pytest
import webvtt

from gateway.rooms.correction import Correction
from gateway.rooms.timeline import PIECE_MS
from tests.page.speaking_rooms import SpeakerDouble, speaking

AT = "/v1/rooms/hall/captions"


@pytest.fixture
async def speaker() -> AsyncIterator[SpeakerDouble]:
    async with speaking("hall") as speaker:
        yield speaker


@pytest.fixture
async def player(speaker: SpeakerDouble) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=speaker.http, trust_env=False) as client:
        yield client


async def listed(player: httpx.AsyncClient, query: str = "") -> m3u8.M3U8:
    answer = await player.get(f"{AT}.m3u8{query}")
    assert answer.headers["content-type"] == "application/vnd.apple.mpegurl"
    return m3u8.loads(answer.text, uri=f"{player.base_url}{AT}.m3u8")


async def segments(player: httpx.AsyncClient, found: m3u8.M3U8) -> list[str]:
    answers = [await player.get(each.absolute_uri) for each in found.segments]
    assert {each.headers["content-type"] for each in answers} <= {"text/vtt; charset=utf-8"}
    return [each.text for each in answers]


def texts(vtt: str) -> list[str]:
    return [each.text for each in webvtt.from_buffer(io.StringIO(vtt))]


async def test_segments_are_listed_when_they_are_over_and_then_stay(
    speaker: SpeakerDouble, player: httpx.AsyncClient
) -> None:
    assert (await listed(player)).segments == []
    speaker.final(" One.", start_ms=0, end_ms=PIECE_MS - 1)
    assert (await listed(player)).segments == []
    speaker.final(" Two.", start_ms=PIECE_MS - 1, end_ms=PIECE_MS + 1000)
    first = await segments(player, await listed(player))
    assert [texts(each) for each in first] == [["One.", "Two."]]
    speaker.final(" Three.", start_ms=PIECE_MS + 2000, end_ms=3 * PIECE_MS)
    assert not (await listed(player)).is_endlist
    then = await segments(player, await listed(player))

    assert [texts(each) for each in then] == [["One.", "Two."], ["Two.", "Three."], ["Three."]]
    assert then[0] == first[0]
    assert (await player.get(f"{AT}/3.vtt")).status_code == 404


async def test_the_playlist_ends_with_the_session_and_goes_on_with_the_next(
    speaker: SpeakerDouble, player: httpx.AsyncClient
) -> None:
    speaker.final(" One.", end_ms=1000)
    speaker.publication.end()
    found = await listed(player)
    assert found.is_endlist
    before = await segments(player, found)
    assert [texts(each) for each in before] == [["One."]]

    speaker.publication = await speaker.rooms.publish(None, "hall", "f" * 32, lambda: None)
    speaker.final(" Two.", end_ms=PIECE_MS)
    found = await listed(player)
    assert not found.is_endlist
    after = await segments(player, found)
    assert [texts(each) for each in after] == [["One."], ["Two."]]
    assert after[:1] == before
    whole = (await player.get(f"{AT}.vtt")).text
    assert texts(whole) == ["One.", "Two."]
    assert all(line in after[1] for line in whole.splitlines()[-2:])


async def test_only_an_editor_changes_a_segment(
    speaker: SpeakerDouble, player: httpx.AsyncClient
) -> None:
    speaker.final(" Won.", end_ms=2 * PIECE_MS)
    better = Correction(type="correct", segment=0, text="One.", revision=0)
    await speaker.rooms.correct(None, "hall", better)

    changed = await segments(player, await listed(player))
    assert [texts(each) for each in changed] == [["One."], ["One."]]


async def test_what_is_forgotten_is_no_longer_listed(
    speaker: SpeakerDouble, player: httpx.AsyncClient
) -> None:
    for i in range(502):  # two more than `room_history`
        speaker.final(f" {i}.", start_ms=i * PIECE_MS, end_ms=(i + 1) * PIECE_MS)
    found = await listed(player)
    assert (found.media_sequence, len(found.segments)) == (2, 500)
    assert (await player.get(f"{AT}/1.vtt")).status_code == 404
    assert texts((await player.get(f"{AT}/2.vtt")).text) == ["2."]


async def test_the_videos_own_time_is_passed_on(
    speaker: SpeakerDouble, player: httpx.AsyncClient
) -> None:
    speaker.final(" One.", end_ms=PIECE_MS)
    [text] = await segments(player, await listed(player, "?mpegts=900000"))

    assert "X-TIMESTAMP-MAP=MPEGTS:900000,LOCAL:00:00:00.000" in text.splitlines()
    for wrong in ("-1", "x", "8589934592", "9" * 5000):
        assert (await player.get(f"{AT}.m3u8?mpegts={wrong}")).status_code == 400
        assert (await player.get(f"{AT}/0.vtt?mpegts={wrong}")).status_code == 400


async def test_rooms_that_are_not_there_are_not_found(
    speaker: SpeakerDouble, player: httpx.AsyncClient
) -> None:
    for path in ("other/captions.m3u8", "other/captions/0.vtt", "hall/captions/x.vtt"):
        assert (await player.get(f"/v1/rooms/{path}")).status_code == 404


async def test_caches_may_keep_all_for_a_little_while(
    speaker: SpeakerDouble, player: httpx.AsyncClient
) -> None:
    speaker.final(" One.", end_ms=PIECE_MS)
    lists, segment = [await player.get(f"{AT}{path}") for path in (".m3u8", "/0.vtt")]

    # RFC 8216, 6.3.4: a list that has not changed is asked for again after half a segment.
    assert lists.headers["cache-control"] == f"max-age={PIECE_MS // 2000}"
    assert segment.headers["cache-control"] == f"max-age={PIECE_MS // 1000}"
    assert {lists.headers.get("vary"), segment.headers.get("vary")} == {None}
    assert (await player.get(f"{AT}/1.vtt")).headers["cache-control"] == "no-store"


@pytest.mark.parametrize("path", [".m3u8", "/0.vtt"])
async def test_what_is_asked_for_with_a_credential_is_for_its_holder(
    path: str, speaker: SpeakerDouble, player: httpx.AsyncClient
) -> None:
    speaker.final(" One.", end_ms=PIECE_MS)
    answer = await player.get(f"{AT}{path}", headers={"authorization": "Bearer anything"})

    assert answer.headers["vary"] == "authorization"
    assert "public" not in answer.headers["cache-control"]


@pytest.mark.parametrize("path", [".m3u8", "/0.vtt"])
async def test_what_has_not_changed_is_not_sent_again(
    path: str, speaker: SpeakerDouble, player: httpx.AsyncClient
) -> None:
    speaker.final(" Won.", end_ms=PIECE_MS)
    before = await player.get(f"{AT}{path}")
    asked = {"if-none-match": f'W/"other", {before.headers["etag"]}'}
    again = await player.get(f"{AT}{path}", headers=asked)
    assert (again.status_code, again.content) == (304, b"")
    kept = ("etag", "cache-control")
    assert [again.headers[name] for name in kept] == [before.headers[name] for name in kept]

    better = Correction(type="correct", segment=0, text="One.", revision=0)
    await speaker.rooms.correct(None, "hall", better)
    speaker.final(" Two.", start_ms=PIECE_MS, end_ms=2 * PIECE_MS)
    changed = await player.get(f"{AT}{path}", headers=asked)
    assert changed.status_code == 200
    assert changed.text != before.text
    assert changed.headers["etag"] != before.headers["etag"]


async def test_a_long_playlist_is_compressed_for_those_who_can_read_it(
    speaker: SpeakerDouble, player: httpx.AsyncClient
) -> None:
    speaker.final(" One.", end_ms=100 * PIECE_MS)
    small, plain = [
        await player.get(f"{AT}.m3u8", headers={"accept-encoding": coding})
        for coding in ("gzip", "identity")
    ]

    assert small.headers["content-encoding"] == "gzip"
    assert "content-encoding" not in plain.headers
    assert int(small.headers["content-length"]) < int(plain.headers["content-length"]) / 8
    assert small.text == plain.text
    assert small.headers["etag"] == plain.headers["etag"]
    assert small.headers["vary"].lower() == plain.headers["vary"].lower() == "accept-encoding"
