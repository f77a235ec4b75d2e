"""Where audio is cut: by silence, by length, by the client; never by how it arrived."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.messages import ms_to_samples
from engine.segment import Segment, StreamOptions
from engine.segmenter import SPECULATE_AFTER, Segmenter
from engine.transcript import CloseReason, SpeechEnded, SpeechStarted, UtteranceEnded
from engine.vad import FRAME
from tests.engine.cutting import OPTIONS, Cutting
from tests.engine.scripted import Scene

NO_ENDPOINT = replace(OPTIONS, endpoint=0)


def bounds(segments: list[Segment]) -> list[tuple[int, int, int | None, str | None, str | None]]:
    return [(s.index, s.start, s.end, s.reason, s.finalize_id) for s in segments]


def test_a_segment_has_padding_before_its_speech_and_some_silence_behind() -> None:
    scene = Scene(2000, "one two", 1000)
    [segment] = Cutting(scene).play().closed
    first, last = scene.words

    assert segment.reason == "endpoint"
    assert abs(segment.start - (first.start - OPTIONS.vad_padding)) <= FRAME
    assert segment.end is not None
    assert abs(segment.end - (last.end + SPECULATE_AFTER)) <= FRAME
    assert abs(segment.speech_end - last.end) <= FRAME


@pytest.mark.parametrize("endpoint_ms", [64, 150, 300, 600, 1500])
def test_silence_ends_a_segment_when_it_lasts(endpoint_ms: int) -> None:
    options = replace(OPTIONS, endpoint=ms_to_samples(endpoint_ms))
    shorter = Scene(500, "one", max(endpoint_ms - 64, 0), "two", endpoint_ms + 64)
    longer = Scene(500, "one", endpoint_ms + 64, "two", endpoint_ms + 64)

    assert len(Cutting(shorter, options).play().closed) == 1
    assert len(Cutting(longer, options).play().closed) == 2


def test_no_endpoint_no_end() -> None:
    scene = Scene("one", 10_000, "two", 10_000)
    cutting = Cutting(scene, NO_ENDPOINT).play()

    assert cutting.closed == []
    assert cutting.it.open is not None
    [segment] = cutting.mark("finalize", "a").closed
    assert (segment.start, segment.end, segment.finalize_id) == (0, len(scene.audio), "a")


def test_speech_begins_and_ends_in_turn_and_where_it_does() -> None:
    scene = Scene(1000, "one", 1000, "two", 400, "three", 1000)
    events = Cutting(scene).play().it.events

    assert [type(e) for e in events] == [SpeechStarted, SpeechEnded] * 2
    spoken = [scene.words[0].start, scene.words[0].end, scene.words[1].start, scene.words[2].end]
    for event, at in zip(events, spoken, strict=True):
        assert abs(event.at - at) <= FRAME


def test_speech_names_the_segment_that_it_opens_and_the_one_it_ends() -> None:
    scene = Scene("one", 1000, "word " * 20, 1000, "two", 1000)
    options = replace(OPTIONS, max_segment=ms_to_samples(4000))
    events = Cutting(scene, options).play().it.events

    numbers = [(type(e), e.segment) for e in events if not isinstance(e, UtteranceEnded)]
    assert numbers == [
        (SpeechStarted, 1), (SpeechEnded, 1),
        (SpeechStarted, 2), (SpeechEnded, 3),  # it was cut once, for its length
        (SpeechStarted, 4), (SpeechEnded, 4),
    ]  # fmt: skip


@pytest.mark.parametrize("endpoint_ms", [0, 100, 600, 3000])
def test_an_utterance_ends_after_silence_of_its_own_whatever_ends_segments(
    endpoint_ms: int,
) -> None:
    options = replace(
        OPTIONS, endpoint=ms_to_samples(endpoint_ms), utterance_end=ms_to_samples(1000)
    )
    scene = Scene("one", 800, "two", 1200, "three", 5000)
    ended = [
        event.at
        for event in Cutting(scene, options).play().it.events
        if isinstance(event, UtteranceEnded)
    ]

    assert len(ended) == 2
    for at, word in zip(ended, scene.words[1:], strict=True):
        assert abs(at - word.end) <= FRAME


def test_after_a_finalize_the_utterance_ends_where_it_was_cut() -> None:
    options = replace(OPTIONS, utterance_end=ms_to_samples(1000))
    scene = Scene("one two three", 3000)
    cutting = Cutting(scene, options).play(800)
    cutting.mark("finalize", "a")
    events = cutting.play().it.events

    assert len([e for e in events if isinstance(e, UtteranceEnded)]) == 1


def test_too_long_a_segment_is_cut_at_its_quietest_point_and_loses_no_sample() -> None:
    scene = Scene("w " * 180)
    quiet = [(25_000, 25_200), (50_000, 50_200)]
    for start, end in quiet:
        scene.audio[ms_to_samples(start) : ms_to_samples(end)] *= 0.05
    first, second, *_ = Cutting(scene).play().mark("stop").closed

    assert first.reason == second.reason == "length"
    for segment, (start, end) in zip((first, second), quiet, strict=True):
        assert segment.end is not None
        assert ms_to_samples(start) <= segment.end <= ms_to_samples(end)
    assert (first.start, second.start) == (0, first.end)


def test_a_length_cut_in_silence_begins_no_empty_segment() -> None:
    cutting = Cutting(Scene("one", 60_000, "two", 1000), NO_ENDPOINT)
    cutting.play(until_ms=60_000)
    assert len(cutting.closed) == 1
    assert cutting.it.open is None

    cutting.play().mark("stop")
    assert [s.reason for s in cutting.closed] == ["length", "stop"]
    assert cutting.closed[1].voiced == ms_to_samples(320)


def test_no_segment_is_too_long_and_all_speech_is_in_one() -> None:
    options = replace(OPTIONS, max_segment=ms_to_samples(4000))
    segments = Cutting(Scene("w " * 60), options).play().mark("stop").closed

    for one, following in pairwise(segments):
        assert following.start == one.end
    for each in segments:
        assert each.end is not None
        assert 0 < each.end - each.start <= options.max_segment + FRAME


def test_a_finalize_closes_exactly_what_was_sent() -> None:
    cutting = Cutting(Scene("one two three four", 1000)).play(until_ms=700, size=333)
    cutting.mark("finalize", "now").play().mark("stop")
    first, second = cutting.closed

    assert (first.end, first.reason, first.finalize_id) == (ms_to_samples(700), "finalize", "now")
    assert (second.start, second.reason) == (first.end, "endpoint")


def test_a_finalize_waits_until_its_audio_was_heard() -> None:
    cutting = Cutting(Scene("one two", 1000))
    cutting.it.pcm.append(cutting.scene.audio)
    cutting.it.mark("finalize", "a")
    cutting.it.frames()

    assert cutting.closed == []
    assert cutting.listen().closed != []


def test_a_finalize_in_the_silence_after_speech_leaves_the_silence_out() -> None:
    scene = Scene("one", 500)
    [segment] = Cutting(scene).play().mark("finalize").closed

    assert segment.end is not None
    assert segment.end <= scene.words[-1].end + SPECULATE_AFTER + FRAME


def test_every_finalize_is_answered_also_without_speech() -> None:
    cutting = Cutting(Scene(1000)).play()
    for id in "abc":
        cutting.mark("finalize", id)

    assert [s.finalize_id for s in cutting.closed] == ["a", "b", "c"]
    assert [s.index for s in cutting.closed] == [1, 2, 3]
    assert all(s.voiced == 0 for s in cutting.closed)


@pytest.mark.parametrize("reason", ["stop", "drain"])
def test_a_stop_in_silence_closes_nothing(reason: CloseReason) -> None:
    cutting = Cutting(Scene("one", 2000)).play().mark(reason)

    assert len(cutting.closed) == 1
    assert cutting.it.ended


def test_a_drain_cuts_behind_all_that_was_received_and_decides_by_whole_frames() -> None:
    scene = Scene("one two three", 400)
    cutting = Cutting(scene).play(until_ms=700)
    heard = cutting.it.clock
    assert heard < cutting.it.pcm.end
    cutting.it.mark("drain", None)
    cutting.it.pcm.append(np.ones(1920, np.int16))

    assert not len(cutting.it.frames())

    [segment] = cutting.closed
    assert (segment.reason, segment.end) == ("drain", ms_to_samples(700) + 1920)
    assert not cutting.it.waiting


def test_speech_that_goes_on_after_the_endpoint_was_switched_off_is_kept() -> None:
    scene = Scene("one two three", 400, "four five six", 100)
    cutting = Cutting(scene).play(until_ms=1300)  # in the pause, where the end was expected
    cutting.it.options = NO_ENDPOINT
    [segment] = cutting.play().mark("finalize", "a").closed

    assert segment.end is not None
    assert segment.end >= scene.words[-1].end


def test_a_finalize_after_a_stop_does_not_undo_it() -> None:
    cutting = Cutting(Scene(1000)).play()
    cutting.it.mark("stop", None)
    cutting.mark("finalize", "late")

    assert cutting.it.ended


parts = st.lists(
    st.integers(0, 1500) | st.integers(1, 12).map(lambda words: "w " * words), max_size=8
)


@settings(max_examples=60, deadline=None)
@given(parts, st.integers(2, 8), st.integers(0, 1200), st.lists(st.integers(99, 9000), min_size=1))
def test_cuts_do_not_depend_on_how_audio_arrived(
    parts: list[str | int], max_s: int, endpoint_ms: int, sizes: list[int]
) -> None:
    scene = Scene(*parts)
    options = replace(OPTIONS, max_segment=max_s * 16_000, endpoint=ms_to_samples(endpoint_ms))
    at_once = Cutting(scene, options).play(size=10**9).mark("stop")
    bit_by_bit = Cutting(scene, options)
    for size in sizes:
        end = min(bit_by_bit.it.pcm.end + size, len(scene.audio))
        bit_by_bit.it.pcm.append(scene.audio[bit_by_bit.it.pcm.end : end])
        bit_by_bit.listen()
    bit_by_bit.play(size=sizes[-1]).mark("stop")

    assert bounds(bit_by_bit.closed) == bounds(at_once.closed)
    assert bit_by_bit.it.events == at_once.it.events
    for one, following in pairwise(at_once.closed):
        assert one.end is not None
        assert one.start < one.end <= following.start
        assert one.reason != "length" or following.start >= one.end
    assert [s.index for s in at_once.closed] == [*range(1, len(at_once.closed) + 1)]
    kinds = [type(event) for event in at_once.it.events]
    assert kinds == [SpeechStarted, SpeechEnded] * (len(kinds) // 2)


class Unhurried(Segmenter):
    """Hears each frame as if it might change something."""

    def _goes_on(self, probability: float) -> bool:
        return False


@settings(max_examples=300)
@given(
    runs=st.lists(
        st.tuples(st.sampled_from([0.0, 0.1, 0.34, 0.36, 0.49, 0.5, 0.9]), st.integers(1, 30)),
        max_size=30,
    ),
    marks=st.lists(st.integers(0, 400), max_size=3),
    endpoint_ms=st.sampled_from([0, 100, 600]),
    utterance_end_ms=st.sampled_from([0, 1000]),
    max_segment_ms=st.sampled_from([5000, 28_000]),
)
def test_frames_that_change_nothing_leave_all_as_if_they_were_looked_at(
    runs: list[tuple[float, int]],
    marks: list[int],
    endpoint_ms: int,
    utterance_end_ms: int,
    max_segment_ms: int,
) -> None:
    options = StreamOptions(
        endpoint=ms_to_samples(endpoint_ms),
        utterance_end=ms_to_samples(utterance_end_ms),
        max_segment=ms_to_samples(max_segment_ms),
    )
    quick, slow = Segmenter(options), Unhurried(options)
    probabilities = [probability for probability, count in runs for _ in range(count)]
    for number, probability in enumerate(probabilities):
        for each in (quick, slow):
            each.pcm.append(np.zeros(FRAME, np.float32))
            if number in marks:
                each.mark("finalize", str(number))
            while len(frames := each.frames()):
                each.hear([probability] * -(-len(frames) // FRAME), len(frames))

        assert (quick.events, quick.closed) == (slow.events, slow.closed)
        assert (quick.open, quick._ear, quick.quiet_upto) == (
            slow.open,
            slow._ear,
            slow.quiet_upto,
        )
