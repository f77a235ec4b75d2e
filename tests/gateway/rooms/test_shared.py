"""Rooms of several processes are used as those of one."""

import asyncio
import json

import pytest

from gateway.errors import InvalidMessage, NotFound, ShuttingDown, TooManySessions
from gateway.rooms.correction import Correction, StaleCorrection
from tests.gateway.rooms.processes import final, never, partial, processes


def correction(text: str, revision: int = 0, segment: int = 0) -> Correction:
    return Correction(type="correct", segment=segment, text=text, revision=revision)


async def test_viewers_elsewhere_get_the_same_with_the_same_numbers() -> None:
    async with processes(2) as (here, there), here.rooms.viewing(None, "a") as near:
        speaker = await here.rooms.publish(None, "a", "s", never)
        speaker.say(partial(0, "o"))
        speaker.say(final(0, " one"))
        async with (
            there.rooms.viewing(None, "a") as late,
            there.rooms.viewing(None, "a", 2) as back,
        ):
            speaker.say(final(1, " two"))
            expected = [(await near.get()).text for _ in range(2)]

            assert [(await late.get()).text for _ in range(2)] == expected
            assert (await back.get()).text == expected[1]
    assert [json.loads(text)["seq"] for text in expected] == [2, 3]


async def test_who_comes_late_elsewhere_gets_the_open_segment_too() -> None:
    async with processes(2) as (here, there):
        speaker = await here.rooms.publish(None, "a", "s", never)
        for message in (final(0, " one"), partial(1, "t"), partial(1, "tw")):
            speaker.say(message)
        async with there.rooms.viewing(None, "a") as viewer:
            seen = [json.loads((await viewer.get()).text) for _ in range(2)]
            speaker.say(final(1, " two"))
            seen.append(json.loads((await viewer.get()).text))
        async with there.rooms.viewing(None, "a", after=3) as viewer:
            seen.append(json.loads((await viewer.get()).text))

    assert [(each["type"], each["seq"]) for each in seen] == [
        ("final", 1), ("partial", 3), ("final", 4), ("final", 4),
    ]  # fmt: skip


async def test_keys_do_not_meet_in_a_room() -> None:
    async with processes(2) as (here, there):
        (await here.rooms.publish("alice", "a", "s", never)).say(final(0))

        assert (await there.rooms.written("alice", "a")).finals
        with pytest.raises(NotFound):
            await there.rooms.written("bob", "a")


async def test_a_newer_session_takes_the_room_wherever_it_is() -> None:
    told: list[str] = []
    async with processes(2) as (here, there), here.rooms.viewing(None, "a") as viewer:
        older = await here.rooms.publish(None, "a", "old", lambda: told.append("old"))
        newer = await there.rooms.publish(None, "a", "new", never)
        older.say(final(0, " late"))
        older.end()
        newer.say(final(0, " new"))
        seen = [json.loads((await viewer.get()).text) for _ in range(2)]

    assert told == ["old"]
    assert [(each["type"], each["session"]) for each in seen] == [("left", "old"), ("final", "new")]


async def test_of_two_who_correct_the_same_words_one_is_told_what_is_there_now() -> None:
    async with processes(2) as (here, there):
        (await here.rooms.publish(None, "a", "s", never)).say(final(0))
        async with here.rooms.viewing(None, "a") as viewer, there.rooms.viewing(None, "a"):
            await viewer.get()
            answers = await asyncio.gather(
                here.rooms.correct(None, "a", correction("Hers.")),
                there.rooms.correct(None, "a", correction("His.")),
                return_exceptions=True,
            )
            assert answers[0] is None
            assert isinstance(answers[1], StaleCorrection)
            assert answers[1].current == {
                "session": "s", "segment": 0, "text": " Hers.", "revision": 1
            }  # fmt: skip
            assert json.loads((await viewer.get()).text)["text"] == " Hers."
            with pytest.raises(InvalidMessage):
                await there.rooms.correct(None, "a", correction("?", segment=9))
            await there.rooms.correct(None, "a", correction("His.", revision=1))
        for each in (here, there):
            (kept,) = (await each.rooms.written(None, "a")).finals
            assert json.loads(kept.text)["text"] == " His."


@pytest.mark.parametrize("setting", ["max_viewers", "max_viewers_per_room"])
async def test_viewers_of_all_processes_are_bounded_and_places_come_back(setting: str) -> None:
    async with processes(2, None, **{setting: 1}) as (here, there):
        async with here.rooms.viewing(None, "a"):
            with pytest.raises(TooManySessions):
                await there.rooms.viewing(None, "a").__aenter__()
            assert there.limited(setting) == 1
        async with there.rooms.viewing(None, "a"):
            here.die()
            there.die()


async def test_rooms_are_bounded_and_one_that_is_used_anywhere_gives_no_place() -> None:
    async with processes(2, max_rooms=1) as (here, there):
        speaker = await here.rooms.publish(None, "a", "s", never)
        with pytest.raises(TooManySessions):
            await there.rooms.publish(None, "b", "s", never)
        speaker.end()
        await there.rooms.publish(None, "b", "s", never)
        with pytest.raises(NotFound):
            await here.rooms.written(None, "a")
        for each in (here, there):
            await each.settle()
            assert "scribewire_rooms 1.0" in each.metrics.exposition().decode()


async def test_who_gives_up_before_the_answer_holds_no_place() -> None:
    async with processes(2, max_viewers=1, max_rooms=1) as (here, there):
        entering = asyncio.create_task(here.rooms.viewing(None, "a").__aenter__())
        publishing = asyncio.create_task(here.rooms.publish(None, "a", "s", never))
        await asyncio.sleep(0)
        for task in (entering, publishing):
            task.cancel()
        await asyncio.wait((entering, publishing))

        async with there.rooms.viewing(None, "b"):
            assert publishing.cancelled()


async def test_a_process_that_dies_leaves_its_rooms_to_the_others() -> None:
    async with processes(2) as (here, there), there.rooms.viewing(None, "a") as viewer:
        speaker = await here.rooms.publish(None, "a", "s", never)
        speaker.say(final(0))
        here.die()
        seen = [json.loads((await viewer.get()).text)["type"] for _ in range(2)]
        successor = here.successor()
        again = await successor.rooms.publish(None, "a", "s", never)
        again.say(final(1))

        assert seen == ["final", "left"]
        assert (await viewer.get()).seq == 3
        assert len((await successor.rooms.written(None, "a")).finals) == 2
        successor.die()


async def test_silence_is_when_nobody_speaks_to_the_viewers_of_this_process() -> None:
    async with processes(2) as (here, there), there.rooms.viewing(None, "a"):
        speaker = await here.rooms.publish(None, "a", "s", never)
        await here.rooms.publish(None, "b", "t", never)
        await there.settle()
        waiting = asyncio.create_task(there.rooms.silence())
        await there.settle()
        assert not waiting.done()
        speaker.end()
        await waiting
        await here.rooms.silence()  # it has no viewers


async def test_silence_is_when_nobody_here_listens_any_more() -> None:
    async with processes(2) as (here, there):
        async with there.rooms.viewing(None, "a"):
            await here.rooms.publish(None, "a", "s", never)
            await there.settle()
            waiting = asyncio.create_task(there.rooms.silence())
            await there.settle()
            assert not waiting.done()
        async with asyncio.timeout(5):
            await waiting


async def test_without_the_hub_all_are_told_to_come_back_elsewhere() -> None:
    async with processes(2) as (here, there), there.rooms.viewing(None, "a"):
        await here.rooms.publish(None, "a", "s", never)
        await there.settle()
        there.stop_reading()
        asking = asyncio.create_task(there.rooms.written(None, "a"))
        waiting = asyncio.create_task(there.rooms.silence())
        await asyncio.sleep(0)
        there.rooms.lose()

        with pytest.raises(ShuttingDown):
            await asking
        await waiting
        with pytest.raises(ShuttingDown):
            await there.rooms.publish(None, "a", "s", never)
