"""A stream that goes on elsewhere from any checkpoint says what the first would have said."""

import math
import struct
from collections.abc import Iterator
from dataclasses import replace
from itertools import cycle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.checkpoint import Checkpoint, OpenSegment
from engine.messages import Audio, SegmentKey, ms_to_samples
from engine.models.moonshine import Moonshine
from engine.segment import StreamOptions
from engine.stream import Stream
from engine.transcript import CloseReason, Confirmed, Event, Final
from engine.vad import VadState, VoiceDetector
from gateway.audio import decode_file
from tests.engine.scripted import INFO, Playback, Scene, finished
from tests.engine.test_stream_properties import marks, options, parts, sizes
from tests.speech import speech
from tests.stepping import FRAME, catch_up, walk

S = 16_000
NOTHING_HEARD = VadState().tobytes()


def run(play: Playback, seconds: list[int], sizes: list[int]) -> Playback:
    """The rest of the scene, finalized at ``seconds``, in pieces of ``sizes``."""
    scene, pieces = play.scene, cycle(sizes)
    for until in [*(second * S for second in seconds), len(scene.audio)]:
        push(play, min(until, len(scene.audio)), pieces)
        if until < len(scene.audio):
            play.close("finalize", f"at {until}")
    play.stop()
    return play


def push(play: Playback, until: int, sizes: Iterator[int]) -> None:
    """The scene up to a sample, in pieces of ``sizes``."""
    while play.stream.received < until:
        play.push(min(next(sizes), until - play.stream.received))


def of(events: list[Event], kind: type) -> list[Event]:
    return [event for event in events if isinstance(event, kind)]


def elsewhere(play: Playback, checkpoint: Checkpoint, start: int) -> Playback:
    """Another process's playback of the same scene."""
    other = Playback(play.scene, play.stream.options)
    sent = Checkpoint.decode(checkpoint.encode())
    other.stream = Stream.resumed("session", play.stream.options, INFO, sent, start)
    other.heard = checkpoint.at
    return other


@settings(max_examples=60)
@given(parts, options, marks, sizes, st.integers(0, 4000))
def test_from_each_checkpoint_the_finals_are_the_same(
    parts: list[str | int], options: StreamOptions, marks: set[int], sizes: list[int], more: int
) -> None:
    scene = Scene(*parts)
    seconds = sorted(second for second in marks if second * S < len(scene.audio))
    whole = run(Playback(scene, options), seconds, sizes)
    confirmed = of(whole.events, Confirmed)
    assert confirmed or not len(scene.audio)

    for event in confirmed:
        assert isinstance(event, Confirmed)
        checkpoint = event.checkpoint
        other = elsewhere(whole, checkpoint, max(0, checkpoint.start - more))
        run(other, seconds[checkpoint.finalizes :], sizes)

        assert event.upto == checkpoint.start
        assert other.finals == whole.finals[checkpoint.closed :]


def withheld(events: list[Event]) -> list[Event]:
    """What is left for a client that waits for another server: without what a drain cut."""
    cut = (i for i, each in enumerate(events) if isinstance(each, Final) and each.reason == "drain")
    return events[: next(cut, None)]


@settings(max_examples=100)
@given(parts, options, sizes, st.integers(0, 320_000), st.integers(0, 2000))
def test_wherever_a_drain_comes_the_finals_are_the_same(
    parts: list[str | int], options: StreamOptions, sizes: list[int], drained_at: int, held: int
) -> None:
    """The client withholds the final that the drain cut, and goes on elsewhere from before it.

    ``held``: so many samples come from the resampler at the end, which nobody else hears.
    """
    scene = Scene(*parts)
    whole = run(Playback(scene, options), [], sizes)
    first, until = Playback(scene, options), min(drained_at, len(scene.audio))
    push(first, until, cycle(sizes))
    first.stream.mark("drain")
    first.stream.push(np.ones(held, np.float32))
    first.listen()
    while first.stream.unfinished:
        first.listen()
    assert finished(first.events)
    assert first.finals == [] or first.finals[-1].end <= until + held

    said = withheld(first.events)
    confirmed = of(said, Confirmed)
    checkpoint = Checkpoint(NOTHING_HEARD)
    if confirmed:
        assert isinstance(confirmed[-1], Confirmed)
        checkpoint = confirmed[-1].checkpoint
    second = run(elsewhere(whole, checkpoint, checkpoint.start), [], sizes)

    last = len(of(said, Final))
    again = [final for final in second.finals if final.segment > last]
    assert of(said, Final) + again == whole.finals


def resumed_walk(
    audio: Audio, options: StreamOptions, model: Moonshine, checkpoint: Checkpoint
) -> list[Event]:
    stream = Stream.resumed("other", options, model.info, checkpoint, checkpoint.start)
    detector = VoiceDetector()
    for at in range(checkpoint.start, len(audio), FRAME):
        stream.push(audio[at : at + FRAME])
        catch_up(stream, model, detector)
    stream.mark("stop")
    catch_up(stream, model, detector)
    for event in of(stream.events, Final):
        assert isinstance(event, Final)
        model.forget(SegmentKey("other", event.segment))
    return stream.events


@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("beckett.wav", StreamOptions(partials=False)),
        ("two_cities.wav", StreamOptions(partials=False, max_segment=8 * S, endpoint=0)),
        ("two_cities.wav", StreamOptions(partials=False, endpoint=ms_to_samples(250))),
    ],
    ids=["endpoints", "cuts for length", "short pauses"],
)
def test_with_the_real_detector_and_model_no_word_differs(
    name: str, options: StreamOptions
) -> None:
    audio, model = decode_file(speech(name))[: 30 * S], Moonshine()
    events = walk(audio, options, model, VoiceDetector())
    finals, confirmed = of(events, Final), of(events, Confirmed)

    assert len(confirmed) >= 5
    for event in confirmed[1:-1:2]:
        assert isinstance(event, Confirmed)
        again = resumed_walk(audio, options, model, event.checkpoint)
        assert of(again, Final) == finals[event.checkpoint.closed :]


@given(parts, options, st.integers(0, 20_000), st.sampled_from(["finalize", "stop"]))
def test_a_replay_that_is_ended_too_soon_says_what_it_can(
    parts: list[str | int], options: StreamOptions, short: int, reason: CloseReason
) -> None:
    scene = Scene(*parts)
    whole = run(Playback(scene, options), [], [1600])
    for event in of(whole.events, Confirmed):
        assert isinstance(event, Confirmed)
        checkpoint = event.checkpoint
        other = elsewhere(whole, checkpoint, checkpoint.start)
        upto = min(checkpoint.start + short, len(scene.audio))
        other.stream.push(scene.audio[checkpoint.start : upto])
        other.stream.mark(reason)
        other.heard = min(other.heard, upto)
        other.stop()

        assert finished(other.events)
        assert all(final.segment > checkpoint.closed for final in other.finals)
        assert all(checkpoint.floor <= final.start <= final.end for final in other.finals)


def test_words_are_parted_from_what_was_said_before() -> None:
    scene = Scene("one two", 1000, "three", 1000)
    play = run(Playback(scene), [], [1600])
    confirmed = next(
        event
        for event in play.events
        if isinstance(event, Confirmed) and event.checkpoint.closed == 1
    )

    again = run(elsewhere(play, confirmed.checkpoint, confirmed.upto), [], [1600])

    assert [final.text for final in again.finals] == [" three"]


checkpoints = st.builds(
    Checkpoint,
    vad=st.just(NOTHING_HEARD) | st.just(np.ones(320, np.float32).tobytes()),
    at=st.integers(10_000, 10**6),
    start=st.integers(0, 5000),
    floor=st.integers(0, 5000),
    speaking=st.just(True),
    silence_start=st.none() | st.integers(0, 10_000),
    segments=st.integers(0, 10**6),
    finalizes=st.integers(0, 10**6),
    tail=st.just("") | st.characters(exclude_characters="\0"),
) | st.builds(
    Checkpoint,
    vad=st.just(NOTHING_HEARD),
    at=st.integers(20_000, 10**6),
    start=st.integers(0, 5000),
    floor=st.integers(0, 5000),
    speaking=st.just(True),
    segments=st.integers(1, 10**6),
    open=st.builds(
        OpenSegment, st.integers(5000, 9000), st.integers(9000, 20_000), st.integers(0, 11_000)
    ),
)


@given(checkpoints)
def test_what_is_encoded_is_decoded(checkpoint: Checkpoint) -> None:
    text = checkpoint.encode()

    assert Checkpoint.decode(text) == checkpoint
    assert text.isascii()
    assert len(text) < 2000


@given(st.text(max_size=40) | st.binary(max_size=2000).map(lambda data: data.hex()))
def test_other_text_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - whatever the text, only this
        Checkpoint.decode(text)


GOOD = Checkpoint(
    NOTHING_HEARD, at=20_000, start=9000, floor=5000, speaking=True, segments=2,
    open=OpenSegment(9000, 19_000, 8000),
)  # fmt: skip


@pytest.mark.parametrize(
    "wrong",
    [
        replace(GOOD, at=-1),
        replace(GOOD, at=2**60),
        replace(GOOD, at=10**9),
        replace(GOOD, start=30_000),
        replace(GOOD, floor=30_000),
        replace(GOOD, speaking=False),
        replace(GOOD, segments=0),
        replace(GOOD, finalizes=-5),
        replace(GOOD, silence_start=10_000),
        replace(GOOD, open=OpenSegment(8000, 19_000, 8000)),
        replace(GOOD, open=OpenSegment(9000, 8000, 8000)),
        replace(GOOD, open=OpenSegment(9000, 21_000, 8000)),
        replace(GOOD, open=OpenSegment(9000, 19_000, 12_000)),
        replace(GOOD, vad=struct.pack("<f", math.nan) * 320),
        replace(GOOD, vad=struct.pack("<f", 1e30) * 320),
        replace(GOOD, vad=NOTHING_HEARD[:-4]),
        replace(GOOD, vad=NOTHING_HEARD + b"\0"),
    ],
)
def test_a_state_that_no_stream_can_be_in_is_refused(wrong: Checkpoint) -> None:
    assert Checkpoint.decode(GOOD.encode()) == GOOD
    with pytest.raises(ValueError):  # noqa: PT011
        Checkpoint.decode(wrong.encode())
