"""The queue to one client: nothing but outdated partials is ever left out, and it is bounded."""

import asyncio
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import SlowConsumer
from gateway.outbox import Outbox
from gateway.wire.messages import (
    Confirmed,
    ErrorMessage,
    Final,
    Partial,
    Pong,
    ServerMessage,
    SpeechStarted,
)

ROOMY = {"max_events": 10_000, "max_bytes": 10_000_000}
WITHIN_S = 5


def partial(segment: int, revision: int = 1, stable: str = "so", unstable: str = " far") -> Partial:
    return Partial(segment, revision, stable, unstable, 0, 100, "en", 0)


def final(segment: int, text: str = "so far") -> Final:
    return Final(segment, text, False, 0, 100, "en", "endpoint")


segments = st.integers(1, 3)
texts = st.text(max_size=4)
partials = st.builds(partial, segments, st.integers(1, 99), texts, texts)
messages = st.one_of(
    partials,
    partials,  # most of what is sent
    st.builds(final, segments, texts),
    st.builds(SpeechStarted, st.integers(0, 9), st.integers(1, 9)),
    st.builds(Confirmed, st.integers(0, 9), st.just(0), st.just("")),
    st.builds(Pong, texts),
)


class Take:
    """The reader takes one message, if there is one."""

    def __repr__(self) -> str:
        return "Take()"


actions = st.lists(st.one_of(messages, messages, st.builds(Take)), max_size=40)


async def taken(outbox: Outbox) -> ServerMessage | int:
    async with asyncio.timeout(WITHIN_S):
        return await outbox.get()


async def emptied(outbox: Outbox) -> list[ServerMessage | int]:
    """Closes it and takes all that waits, up to and including the close code."""
    outbox.close(1000)
    result: list[ServerMessage | int] = [await taken(outbox)]
    while result[-1] != 1000:
        result.append(await taken(outbox))
    return result


async def received(actions: Iterable[ServerMessage | Take]) -> tuple[list[ServerMessage], Outbox]:
    """What a reader gets of a roomy outbox that is filled and emptied by ``actions``."""
    outbox, result, waiting = Outbox(**ROOMY), [], 0
    for action in actions:
        if isinstance(action, Take):
            if waiting:
                result.append(await taken(outbox))
                waiting -= 1
        else:
            before = outbox.conflated
            outbox.put(action)
            waiting += 1 - (outbox.conflated - before)
    return [m for m in (*result, *await emptied(outbox)) if not isinstance(m, int)], outbox


def without_partials(all: Iterable[object]) -> list[object]:
    return [each for each in all if not isinstance(each, Partial | Take)]


@given(actions)
async def test_whatever_is_no_partial_arrives_once_and_in_order(
    actions: list[ServerMessage | Take],
) -> None:
    arrived, _ = await received(actions)

    assert without_partials(arrived) == without_partials(actions)


@given(actions)
async def test_what_arrives_is_what_was_put_with_some_partials_left_out(
    actions: list[ServerMessage | Take],
) -> None:
    arrived, outbox = await received(actions)

    put = iter(action for action in actions if not isinstance(action, Take))
    assert all(any(message is each for each in put) for message in arrived)  # a subsequence
    count = sum(isinstance(action, Partial) for action in actions)
    assert count - sum(isinstance(message, Partial) for message in arrived) == outbox.conflated


@given(st.lists(messages, max_size=40))
async def test_of_a_segment_only_the_newest_partial_waits_and_none_behind_its_final(
    sequence: list[ServerMessage],
) -> None:
    waiting, _ = await received(sequence)

    for segment in (1, 2, 3):
        of_segment = [
            m for m in sequence if isinstance(m, Partial | Final) and m.segment == segment
        ]
        newest = [m for m in of_segment[-1:] if isinstance(m, Partial)]
        assert newest == [m for m in waiting if isinstance(m, Partial) and m.segment == segment]


@given(st.lists(messages, max_size=40), st.integers(1, 8))
async def test_more_than_the_limit_of_waiting_messages_raises_and_not_one_less(
    sequence: list[ServerMessage], limit: int
) -> None:
    outbox = Outbox(max_events=limit, max_bytes=10_000_000)
    waiting: list[ServerMessage] = []
    for message in sequence:
        if isinstance(message, Partial | Final):
            waiting = [
                m for m in waiting if not (isinstance(m, Partial) and m.segment == message.segment)
            ]
        waiting.append(message)
        if len(waiting) > limit:
            with pytest.raises(SlowConsumer):
                outbox.put(message)
            return
        outbox.put(message)


async def test_partials_of_one_segment_never_fill_it() -> None:
    outbox = Outbox(max_events=1, max_bytes=400)

    for revision in range(1000):
        outbox.put(partial(1, revision, "a" * 50, "b" * 50))

    assert await taken(outbox) == partial(1, 999, "a" * 50, "b" * 50)
    assert outbox.conflated == 999


@pytest.mark.parametrize("message", [final(2, "x" * 26), partial(2, 1, "x" * 13, "x" * 13)])
async def test_long_texts_fill_it_by_their_bytes(message: ServerMessage) -> None:
    """A character may take four bytes."""
    outbox = Outbox(max_events=100, max_bytes=203)
    outbox.put(final(1, "x" * 25))

    with pytest.raises(SlowConsumer):
        outbox.put(message)


@given(st.lists(st.one_of(partials, st.builds(final, segments, texts)), max_size=30))
async def test_a_reader_that_keeps_up_never_fills_it(sequence: list[ServerMessage]) -> None:
    outbox = Outbox(max_events=1, max_bytes=32)

    for message in sequence:
        outbox.put(message)
        assert await taken(outbox) is message


async def test_after_the_close_come_the_waiting_messages_the_last_word_and_the_code() -> None:
    outbox = Outbox(**ROOMY)
    last = ErrorMessage("internal", "It failed.", True)
    outbox.put(final(1))

    outbox.close(1011, last=last)

    assert outbox.closed
    assert [await taken(outbox) for _ in range(4)] == [final(1), last, 1011, 1011]


async def test_a_close_may_drop_what_waits() -> None:
    outbox = Outbox(**ROOMY)
    last = ErrorMessage("slow_consumer", "Read faster.", True)
    outbox.put(final(1))

    outbox.close(4408, last=last, drop=True)

    assert [await taken(outbox) for _ in range(2)] == [last, 4408]


async def test_only_the_first_close_counts() -> None:
    outbox = Outbox(**ROOMY)
    outbox.put(final(1))
    outbox.close(4504)

    outbox.close(1011, last=ErrorMessage("internal", "Too late.", True), drop=True)

    assert [await taken(outbox) for _ in range(2)] == [final(1), 4504]


async def test_what_is_put_after_the_close_is_dropped_even_if_it_is_too_much() -> None:
    outbox = Outbox(max_events=1, max_bytes=8)
    outbox.close(1000)

    for segment in range(5):
        outbox.put(final(segment))

    assert await taken(outbox) == 1000


@pytest.mark.parametrize("news", ["a message", "the close"])
async def test_a_waiting_reader_wakes_for(news: str) -> None:
    outbox = Outbox(**ROOMY)
    reader = asyncio.create_task(taken(outbox))
    await asyncio.sleep(0)
    assert not reader.done()

    if news == "a message":
        outbox.put(final(1))
    else:
        outbox.close(1000)

    assert await reader == (final(1) if news == "a message" else 1000)
    assert outbox.closed == (news == "the close")
