"""What holds for every session, whatever is said, however it arrives, whenever steps are taken."""

from collections.abc import Callable
from dataclasses import replace
from itertools import cycle, pairwise
from random import Random

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from engine.messages import Step, StepResult, ms_to_samples
from engine.segment import Due, StreamOptions
from engine.stream import Stream
from engine.transcript import Confirmed, Event, Final, Partial, SegmentFailed, Suppressed
from tests.engine.scripted import (
    INFO,
    AppendOnlyClient,
    Playback,
    Scene,
    ScriptedModel,
    confirmed,
    finished,
)

S = 16_000
WORDS = [f" {word}" for word in ("one", "two", "three", "four", "five", "six", "seven")]

parts = st.lists(
    st.integers(0, 1500) | st.integers(1, 28).map(lambda n: "".join((WORDS * 4)[:n])), max_size=8
)
options = st.builds(
    StreamOptions,
    chunk=st.sampled_from([None, S // 10, S, 2 * S]),
    rollback_tokens=st.sampled_from([None, 0, 1, 5, 9]),
    cold_chunks=st.integers(0, 2),
    endpoint=st.sampled_from([0, 1600, 6400, 9600, 16_000]),
    max_segment=st.sampled_from([2 * S, 4 * S, 28 * S]),
)
delays = st.lists(st.integers(0, 12), min_size=1, max_size=5)
sizes = st.lists(st.integers(100, 16_000), min_size=1, max_size=5)
marks = st.sets(st.integers(1, 20), max_size=3)
"""Seconds at which the client finalizes."""


def run(
    scene: Scene,
    options: StreamOptions,
    marks: set[int],
    sizes: list[int],
    delays: list[int],
    answer: Callable[[Due, Step], StepResult | None] | None = None,
) -> Playback:
    waits, size = cycle(delays), cycle(sizes)
    play = Playback(scene, options, answer, delay=lambda: next(waits))
    for second in sorted(marks):
        if second * S < len(scene.audio):
            while play.stream.received < second * S:
                play.push(min(next(size), second * S - play.stream.received))
            play.close("finalize", f"at {second}")
    while play.stream.received < len(scene.audio):
        play.push(min(next(size), len(scene.audio) - play.stream.received))
    play.stop()
    return play


def said(play: Playback) -> list[tuple[int, str, int, int, str, str | None]]:
    return [(f.segment, f.text, f.start, f.end, f.reason, f.id) for f in play.finals]


@settings(max_examples=80, deadline=None)
@given(parts, options, marks, sizes, delays)
def test_finals_depend_on_the_audio_only(
    parts: list[str | int],
    options: StreamOptions,
    marks: set[int],
    sizes: list[int],
    delays: list[int],
) -> None:
    scene = Scene(*parts)

    assert said(run(scene, options, marks, sizes, delays)) == said(
        run(scene, options, marks, [10**6], [0])
    )


def test_the_start_of_an_empty_final_does_not_depend_on_when_steps_were_taken() -> None:
    scene = Scene("one two", 5000)

    prompt = run(scene, StreamOptions(), {5}, [1600], [0])
    late = run(scene, StreamOptions(), {5}, [1600], [200])

    assert said(late) == said(prompt)


@settings(max_examples=40)
@given(parts, options, delays, st.integers(0, 1000))
def test_steps_that_come_to_nothing_change_no_final(
    parts: list[str | int], options: StreamOptions, delays: list[int], seed: int
) -> None:
    """P3: a runner dies at any step, at most twice in a row at the same segment."""
    failures: dict[int, int] = {}
    luck = Random(seed)
    scene = Scene(*parts)
    model = ScriptedModel(scene)

    def answer(due: Due, step: Step) -> StepResult | None:
        failed = failures.get(due.segment.index, 0)
        dies = failed < 2 and luck.random() < 0.5
        failures[due.segment.index] = failed + 1 if dies else 0
        return None if dies else model.answer(due, step)

    undisturbed = run(scene, options, set(), [1600], delays)
    disturbed = run(scene, options, set(), [1600], delays, answer)

    assert [f.text for f in disturbed.finals] == [f.text for f in undisturbed.finals]
    assert not [event for event in disturbed.events if isinstance(event, SegmentFailed)]


def spoken(scene: Scene, events: list[Event], upto: int | None = None) -> str:
    """The words before a sample, but for those of which a segment got too little to be believed."""
    doubted = [
        (e.start, e.end) for e in events if isinstance(e, Suppressed) and e.reason == "low_evidence"
    ]
    middles = [((word.start + word.end) // 2, word.text) for word in scene.words]
    return "".join(
        text
        for at, text in middles
        if (upto is None or at < upto) and not any(start <= at < end for start, end in doubted)
    ).strip()


CUT_WORD = example(
    parts=[662, "".join((WORDS * 4)[:11]), "".join((WORDS * 4)[:28])],
    options=StreamOptions(cold_chunks=0, endpoint=0, max_segment=32_000),
    marks={11, 13},
    sizes=[100],
    delays=[0],
)
"""Between an end for length and a `finalize` lie 60 ms with the middle of a word."""


@CUT_WORD
@settings(max_examples=80, deadline=None)
@given(parts, options, marks, sizes, delays)
def test_every_word_is_in_one_final_and_every_segment_has_one(
    parts: list[str | int],
    options: StreamOptions,
    marks: set[int],
    sizes: list[int],
    delays: list[int],
) -> None:
    scene = Scene(*parts)
    play = run(scene, options, marks, sizes, delays)

    assert "".join(final.text for final in play.finals).strip() == spoken(scene, play.events)
    assert [final.segment for final in play.finals] == [*range(1, len(play.finals) + 1)]
    assert finished(play.events)
    for one, following in pairwise(play.finals):
        assert one.end <= following.start
    assert all(final.start <= final.end for final in play.finals)


@CUT_WORD
@settings(max_examples=80, deadline=None)
@given(parts, options, marks, sizes, delays)
def test_what_is_confirmed_only_grows_and_every_word_before_it_is_in_a_final(
    parts: list[str | int],
    options: StreamOptions,
    marks: set[int],
    sizes: list[int],
    delays: list[int],
) -> None:
    scene = Scene(*parts)
    play = run(scene, options, marks, sizes, delays)

    upto, closed, text = 0, 0, ""
    for event in play.events:
        if isinstance(event, Final):
            text += event.text
        elif isinstance(event, Confirmed):
            # A `finalize` in silence closes an empty segment where the last one ended.
            assert (event.upto, event.checkpoint.closed) > (upto, closed)
            assert event.checkpoint.closed >= closed
            upto, closed = event.upto, event.checkpoint.closed
            assert text.strip().startswith(spoken(scene, play.events, upto))
    assert upto == len(scene.audio)


APART = [*[" the", " a", "s", "'t", ".", " ", " 안", "녕", "́", " م", "\u200d", ""]]
TOGETHER = [*"本語。👍🏽🇩ี่ท"]
PIECES = [*(text.encode() for text in APART + TOGETHER), b"\xe6\x97", b"\xa5", b"\xff"]
UNSPACED = {"日", *TOGETHER}


def anything(seed: int) -> Callable[[Due, Step], StepResult]:
    """A model that mostly keeps what is forced and behind that writes whatever it likes."""
    random = Random(seed)

    def answer(due: Due, step: Step) -> StepResult:
        keeps = random.random() < 0.9
        draft = step.draft[: random.randint(0, len(step.draft))]
        own = random.choices(range(len(PIECES)), k=random.randint(0, 12))
        tokens = (*(step.forced if keeps else ()), *draft, *own)
        pieces = tuple(PIECES[token] for token in tokens)
        return StepResult(tokens, pieces, random.choice(["eos", "repetition"]), "en", 0.9)

    return answer


@settings(max_examples=75, deadline=None)
@given(parts, options, marks, delays, st.integers(0, 2**32))
def test_stable_is_stable_whatever_the_model_says(
    parts: list[str | int],
    options: StreamOptions,
    marks: set[int],
    delays: list[int],
    seed: int,
) -> None:
    play = run(Scene(*parts), options, marks, [1600], delays, anything(seed))

    stable, segment, revision, transcript = "", 0, 0, ""
    for event in play.events:
        match event:
            case Partial():
                if event.segment != segment:
                    segment, stable, revision = event.segment, "", 0
                assert event.stable.startswith(stable)
                assert event.revision == revision + 1
                stable, revision = event.stable, event.revision
                assert_joins(transcript, event.stable + event.unstable)
            case Final():
                assert event.segment >= segment
                shown = stable if event.segment == segment else ""
                assert event.revised is not event.text.startswith(shown)
                assert_joins(transcript, event.text)
                transcript += event.text
    assert finished(play.events)
    client = AppendOnlyClient().hear(play.events)
    if client.revised == 0:
        assert client.text == transcript


def assert_joins(earlier: str, text: str) -> None:
    """A space where both neighbours are of scripts with spaces, else none is added."""
    if not text:
        return
    spaced = text[0] == " "
    first = text[1:2] if spaced else text[0]
    apart = bool(earlier) and not earlier[-1].isspace()
    assert spaced is (apart and earlier[-1] not in UNSPACED and first not in UNSPACED)


@settings(max_examples=80, deadline=None)
@given(parts, options, marks, delays)
def test_who_can_only_append_reads_what_was_spoken(
    parts: list[str | int], options: StreamOptions, marks: set[int], delays: list[int]
) -> None:
    """With a model that hears every word right there is nothing to revise or to repeat."""
    scene = Scene(*parts)
    play = run(scene, options, marks, [1600], delays)

    client = AppendOnlyClient().hear(play.events)
    assert client.revised == 0
    assert client.text.strip() == spoken(scene, play.events)


FRAME = np.zeros(512, np.float32)


def hold(options: StreamOptions, probability: Callable[[int], float], minutes: int) -> list[int]:
    """Bytes held at the end of each minute."""
    stream = Stream("long", options, INFO)
    held, most = [], 0
    for frame in range(minutes * 60 * S // len(FRAME)):
        stream.push(FRAME)
        stream.hear([probability(frame)], len(stream.frames()))
        for due in stream.due(0):
            stream.take(due)
            stream.commit(due, StepResult((1,), (b" a",), "eos", "en", 0.9))
        stream.events.clear()
        most = max(most, stream.nbytes)
        if frame % (60 * S // len(FRAME)) == 0:
            held.append(most)
            most = 0
    assert stream.unconfirmed <= options.max_segment + 2 * S
    return held


@pytest.mark.parametrize(
    ("options", "probability"),
    [
        (StreamOptions(), lambda frame: 0.0),
        (StreamOptions(), lambda frame: 0.9 if frame % 200 < 150 else 0.0),
        (StreamOptions(chunk=S // 10), lambda frame: 0.9),
        (StreamOptions(chunk=None, endpoint=0), lambda frame: 0.9 if frame % 3000 < 500 else 0.0),
        (StreamOptions(endpoint=0), lambda frame: 0.9 if frame < 100 else 0.0),
        (StreamOptions(), lambda frame: 0.4),
        (StreamOptions(), lambda frame: 0.9 if frame < 1 else 0.4),
        (StreamOptions(), lambda frame: 0.9 if frame < 100 else 0.4),
    ],
    ids=["silence", "talk", "no pause", "no endpoint", "silence without endpoint", "doubt",
         "doubt after a click", "doubt after speech"],
)  # fmt: skip
def test_memory_does_not_grow_with_the_length_of_a_session(
    options: StreamOptions, probability: Callable[[int], float]
) -> None:
    held = hold(options, probability, minutes=40)

    assert max(held) <= 4 * 8 * (options.max_segment + ms_to_samples(1000))
    assert max(held[20:]) <= max(held[:20])


def test_a_session_of_hours_holds_what_one_of_minutes_holds() -> None:
    held = hold(replace(StreamOptions(), chunk=None), lambda f: 0.9 * (f % 400 < 300), minutes=180)

    assert max(held[90:]) <= max(held[:10])


def test_all_is_confirmed_at_the_end_also_when_every_step_fails() -> None:
    scene = Scene("one two three", 1000, "four")
    play = run(scene, StreamOptions(), set(), [1600], [0], lambda due, step: None)

    assert confirmed(play.events) == len(scene.audio)
