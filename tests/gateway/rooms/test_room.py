"""A room keeps what latecomers need, and no viewer can hold up another."""

import asyncio
import json
from typing import Any

import pytest

from gateway.errors import InvalidOption, SlowConsumer, TooManySessions
from gateway.metrics import Metrics
from gateway.rooms import Room, RoomsHere, Viewer
from gateway.rooms.frames import RoomFrame
from gateway.settings import Settings
from gateway.wire.messages import Final, Partial, Pong, Suppressed


def partial(segment: int, text: str) -> Partial:
    return Partial(segment, 1, text, "", 0, 1000, "en", 0)


def final(segment: int, text: str = "said") -> Final:
    return Final(segment, text, False, 0, 1000, "en", "silence")


def shown(frames: Any) -> list[tuple[str, str, int]]:
    """Type, text and segment."""
    maps = [json.loads(frame.text) for frame in frames]
    return [(m["type"], m.get("text", m.get("stable", "")), m["segment"]) for m in maps]


def test_history_has_the_finals_and_the_open_segment() -> None:
    room = Room(history=10)
    for each in (partial(0, "o"), final(0, "one"), partial(1, "t"), partial(1, "tw")):
        room.publish(each, "s")

    assert shown(room.history()) == [("final", "one", 0), ("partial", "tw", 1)]


def test_history_forgets_the_oldest_finals() -> None:
    room = Room(history=2)
    for segment in range(5):
        room.publish(final(segment), "s")

    assert [segment for _, _, segment in shown(room.history())] == [3, 4]


def test_history_goes_on_after_what_was_seen_unless_the_room_is_a_new_one() -> None:
    room = Room(history=10)
    for segment in range(3):
        room.publish(final(segment), "s")

    assert [each.seq for each in room.history(after=2)] == [3]
    assert [each.seq for each in room.history(after=99)] == [1, 2, 3]


def test_withdrawn_text_and_text_of_a_session_that_is_gone_are_not_history() -> None:
    room = Room(history=10)
    room.publish(partial(0, "noise"), "s")
    room.publish(Suppressed(0, "silence", 0, 1000), "s")
    assert room.history() == []

    room.publish(partial(1, "cut off"), "s")
    room.end_session("s")
    assert room.history() == []


def test_a_message_is_written_once_for_all_viewers() -> None:
    room = Room(history=10)
    viewers = [Viewer([], 10) for _ in range(2)]
    room.viewers.update(viewers)
    room.publish(final(0), "s")

    first, second = (asyncio.run(viewer.get()) for viewer in viewers)
    assert first is second


def test_what_is_between_session_and_client_is_not_for_viewers() -> None:
    room = Room(history=10)
    viewer = Viewer([], 1)
    room.viewers.add(viewer)
    for _ in range(5):
        room.publish(Pong("1"), "s")
    room.publish(final(0), "s")

    assert asyncio.run(viewer.get()).seq == 1


async def test_partials_give_way_to_newer_text_of_their_segment() -> None:
    room = Room(history=10)
    viewer = Viewer([], 2)
    room.viewers.add(viewer)
    for i in range(100):
        room.publish(partial(0, str(i)), "s")
    room.publish(final(0, "all"), "s")

    assert shown([await viewer.get()]) == [("final", "all", 0)]


async def test_too_much_waiting_ends_that_viewer_only() -> None:
    room = Room(history=10)
    slow, quick = Viewer([], 2), Viewer([], 2)
    room.viewers.update((slow, quick))
    for segment in range(4):
        room.publish(final(segment), "s")
        assert shown([await quick.get()]) == [("final", "said", segment)]

    with pytest.raises(SlowConsumer):
        await slow.get()


def rooms(**settings: int) -> RoomsHere:
    return RoomsHere(Settings(**settings), Metrics())  # type: ignore[arg-type]


def never() -> None:
    raise AssertionError("nobody took the room")


async def test_a_newer_session_takes_the_room_and_the_older_one_is_told_once() -> None:
    some, told = rooms(), []
    older = await some.publish(None, "a", "old", lambda: told.append("old"))
    newer = await some.publish(None, "a", "new", never)
    older.say(final(0, "late"))
    older.end()
    newer.say(final(0, "new"))

    assert told == ["old"]
    async with some.viewing(None, "a") as viewer:
        assert shown([await viewer.get()]) == [("final", "new", 0)]


async def test_viewers_are_told_that_the_speaker_left() -> None:
    some = rooms()
    async with some.viewing(None, "a") as viewer:
        speaker = await some.publish(None, "a", "s", never)
        speaker.say(final(0))
        speaker.end()
        speaker.end()
        texts = [json.loads((await viewer.get()).text) for _ in range(2)]

    assert texts[1] == {"type": "left", "session": "s", "seq": 2}


def test_a_final_that_is_said_again_is_kept_once() -> None:
    room = Room(history=10)
    room.publish(final(0, "before"), "s")
    room.publish(final(1), "s")
    room.publish(final(0, "again"), "s")

    assert shown(room.history()) == [("final", "said", 1), ("final", "again", 0)]


async def test_keys_do_not_meet_in_a_room() -> None:
    some = rooms()
    async with some.viewing("bob", "a") as viewer:
        (await some.publish("alice", "a", "hers", never)).say(final(0, "hers"))
        (await some.publish("bob", "a", "his", never)).say(final(0, "his"))
        assert shown([await viewer.get()]) == [("final", "his", 0)]


async def test_an_unused_room_makes_place_and_a_used_one_does_not() -> None:
    some = rooms(max_rooms=1)
    speaker = await some.publish(None, "a", "s", never)
    speaker.say(final(0))
    with pytest.raises(TooManySessions):
        await some.viewing(None, "b").__aenter__()
    speaker.end()
    async with some.viewing(None, "b"):
        pass
    (await some.publish(None, "a", "s", never)).say(final(1))
    async with some.viewing(None, "a") as viewer:
        assert shown([await viewer.get()]) == [("final", "said", 1)]


@pytest.mark.parametrize("setting", ["max_viewers", "max_viewers_per_room"])
async def test_viewers_are_bounded_and_places_come_back(setting: str) -> None:
    some = rooms(**{setting: 1})
    async with some.viewing(None, "a"):
        with pytest.raises(TooManySessions):
            await some.viewing(None, "a").__aenter__()
    async with some.viewing(None, "a"):
        pass


@pytest.mark.parametrize("name", ["", "a b", "ä", "a/b", "x" * 65, "a\n"])
async def test_bad_names_are_refused(name: str) -> None:
    with pytest.raises(InvalidOption):
        await rooms().viewing(None, name).__aenter__()


async def test_a_viewer_that_takes_messages_at_once_gets_each_once_and_in_order() -> None:
    """Whatever waits, or is being sent by the viewer's own task, is not overtaken."""
    room, got = Room(history=0), list[int]()
    viewer = Viewer([], 100)
    room.viewers.add(viewer)
    takes = [True, False, True, True, False, False, True] * 5

    def write(frame: RoomFrame) -> bool:
        if taken := takes[frame.seq % len(takes)]:
            got.append(frame.seq)
        return taken

    async def send_the_rest() -> None:
        while True:
            frame = await viewer.get()
            await asyncio.sleep(0)  # a socket that is full
            got.append(frame.seq)

    viewer.write = write
    async with asyncio.TaskGroup() as tasks:
        sender = tasks.create_task(send_the_rest())
        for segment in range(60):
            room.publish(final(segment), "s")
            for _ in range(segment % 4):
                await asyncio.sleep(0)
        while len(got) < 60:
            await asyncio.sleep(0)
        sender.cancel()

    assert got == list(range(1, 61))
