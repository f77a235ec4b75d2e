"""Processes that share their rooms have the same ones, whatever happens, in whichever order."""

import asyncio
import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import GatewayError
from gateway.metrics import Metrics
from gateway.rooms import Publication, Rooms, RoomsHere
from gateway.rooms.correction import Correction
from gateway.rooms.frames import RoomFrame
from gateway.rooms.hub import FOLLOWED_S, MAX_WAITING
from gateway.rooms.news import Count, Enter, pack
from gateway.wire.messages import Final, Partial, Suppressed
from tests.clock import ClockDouble
from tests.gateway.rooms.processes import final, never, partial, processes

ACTS = ("publish", "partial", "final", "suppressed", "end", "correct", "read", "die")
WHERE = (None, "a")


def message(what: str, segment: int) -> Partial | Final | Suppressed:
    match what:
        case "partial":
            return partial(segment, "wor")
        case "final":
            return final(segment)
        case _:
            return Suppressed(segment, "silence", 0, 1000)


class Speakers:
    """The sessions of one process, of which the newest speaks, or the one before."""

    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms
        self._said: list[Publication] = []

    async def act(self, what: str, session: str, number: int) -> None:
        """One thing that happens; what cannot happen there is refused and does nothing."""
        match what:
            case "publish":
                self._said.append(await self._rooms.publish(*WHERE, session, lambda: None))
            case "partial" | "final" | "suppressed":
                for each in self._said[-1 - number % 2 :][:1]:
                    each.say(message(what, number))
            case "end":
                for each in self._said[-1 - number % 2 :][:1]:
                    each.end()
            case "die":
                for each in self._said:
                    each.end()
            case "read":
                await self._rooms.written(*WHERE)
            case "correct":
                wanted = Correction(
                    type="correct", segment=number, text=session, revision=number % 2
                )
                await self._rooms.correct(*WHERE, wanted)


async def all_told(rooms: Rooms, elsewhere: Rooms) -> list[RoomFrame]:
    """What a viewer gets who comes now, up to the first word of a session elsewhere."""
    async with rooms.viewing(*WHERE) as viewer:
        (await elsewhere.publish(*WHERE, "last", never)).say(final(99))
        told = [await viewer.get()]
        while '"segment":99' not in told[-1].text:
            told.append(await viewer.get())
    return told


@given(
    st.lists(st.tuples(st.sampled_from(ACTS), st.integers(0, 2), st.integers(0, 3)), max_size=40)
)
def test_whatever_happens_processes_have_the_room_that_one_alone_would_have(
    acts: list[tuple[str, int, int]],
) -> None:
    async def happen() -> None:
        async with processes(3, room_history=4) as started:
            alone = RoomsHere(started[0].settings, Metrics())
            there = [Speakers(each.rooms) for each in started]
            here = [Speakers(alone) for _ in started]
            for at, (what, process, number) in enumerate(acts):
                for rooms in (there, here):
                    if what == "die" and rooms is there:
                        started[process].die()
                        started[process] = started[process].successor()
                        continue
                    with contextlib.suppress(GatewayError):
                        await rooms[process].act(what, f"s{at}", number)
                if what == "die":
                    there[process], here[process] = (
                        Speakers(started[process].rooms),
                        Speakers(alone),
                    )
                for each in started:
                    await each.settle()
            expected = await all_told(alone, alone)
            written = await alone.written(*WHERE)

            assert await all_told(started[1].rooms, started[0].rooms) == expected
            for each in started:
                assert await each.rooms.written(*WHERE) == written

    asyncio.run(happen())


async def test_a_process_that_follows_for_nobody_is_told_no_more_until_it_asks_again() -> None:
    clock = ClockDouble()
    async with processes(2, clock) as (here, there):
        speaker = await here.rooms.publish(None, "a", "s", never)
        speaker.say(final(0))
        assert len((await there.rooms.written(None, "a")).finals) == 1
        clock.now += FOLLOWED_S + 1
        speaker.say(final(1))
        await there.settle()
        heard = there.heard
        for segment in range(2, 10):
            speaker.say(final(segment))
        await there.settle()

        assert there.heard == heard
        assert len((await there.rooms.written(None, "a")).finals) == 10


async def test_who_speaks_or_is_viewed_is_followed_for_as_long() -> None:
    clock = ClockDouble()
    async with processes(2, clock) as (here, there), there.rooms.viewing(None, "a") as viewer:
        speaker = await here.rooms.publish(None, "a", "s", never)
        for segment in range(3):
            clock.now += FOLLOWED_S + 1
            speaker.say(final(segment))

            assert (await viewer.get()).seq == segment + 1


@pytest.mark.parametrize(
    "text",
    [
        None,
        b"{}",
        "",
        "{}",
        '{"do":"say","n":0,"fields":{"type":"final","session":"s"}}',
        '{"do":"release","n":"0"}',
        '{"do":"release","n":0,"more":1}',
        pack(Count(rooms=1)),
    ],
)
async def test_a_process_that_talks_nonsense_is_ended(text: object) -> None:
    async with processes(1) as (process,):
        process.member.take(text)

        assert process.killed


async def test_a_process_that_does_not_read_is_ended_and_waits_for_nobody() -> None:
    async with processes(1) as (process,):
        process.stop_reading()
        for n in range(MAX_WAITING - 10):
            process.member.take(pack(Enter(n=n, owner=None, name="a")))
        assert not process.killed
        for n in range(MAX_WAITING, MAX_WAITING + 20):
            process.member.take(pack(Enter(n=n, owner=None, name="a")))

        assert process.killed
