"""A session's audio by sample offset; where it is quietest."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from engine.messages import SAMPLE_RATE, Audio, Pcm, as_audio
from engine.pcm import PcmBuffer, quietest_point

known = np.random.default_rng(0).integers(-32_768, 32_768, 1 << 20).astype(np.int16)
"""A stretch of a few samples says where it is."""
heard = as_audio(known)


class BufferAgainstWholeArray(RuleBasedStateMachine):
    """The buffer gives what an array of everything would, from its start to its end."""

    def __init__(self) -> None:
        super().__init__()
        self.buffer = PcmBuffer()
        self.start = self.end = 0
        self.longest = 0
        self.got: list[tuple[Pcm, int]] = []

    @precondition(lambda self: self.end < len(known) - 60_000)
    @rule(
        samples=st.integers(0, 60_000) | st.sampled_from([0, 1, 512, 1600, 15_999, 16_001]),
        pcm=st.sampled_from([known, known, heard]),
    )
    def append(self, samples: int, pcm: Pcm) -> None:
        self.longest = max(self.longest, self.end - self.start + samples)
        self.buffer.append(pcm[self.end : self.end + samples])
        self.end += samples

    @rule(data=st.data())
    def read(self, data: st.DataObject) -> None:
        first = data.draw(st.integers(self.start, self.end))
        last = data.draw(st.integers(first, self.end))
        got = self.buffer.read(first, last)
        assert np.array_equal(as_audio(got), heard[first:last])
        self.got.append((got, first))

    @rule(back=st.integers(-1000, 100_000))
    def drop(self, back: int) -> None:
        self.buffer.drop_before(self.end - back)
        self.start = max(self.start, min(self.end - back, self.end))

    @invariant()
    def all_is_there(self) -> None:
        assert (self.buffer.start, self.buffer.end) == (self.start, self.end)
        held = as_audio(self.buffer.read(self.start, self.end))
        assert np.array_equal(held, heard[self.start : self.end])

    @invariant()
    def what_was_read_never_changes(self) -> None:
        for got, first in self.got:
            assert np.array_equal(as_audio(got), heard[first : first + len(got)])

    @invariant()
    def no_more_than_a_few_times_what_was_ever_held(self) -> None:
        assert self.buffer.nbytes <= 4 * 8 * max(self.longest, SAMPLE_RATE)


TestBufferAgainstWholeArray = BufferAgainstWholeArray.TestCase
TestBufferAgainstWholeArray.settings = settings(max_examples=60, stateful_step_count=30)


@pytest.mark.parametrize("size", [1, 160, 1600, 32_000])
def test_memory_stays_the_same_in_steady_state(size: int) -> None:
    buffer, kept = PcmBuffer(), 10 * SAMPLE_RATE
    piece = np.zeros(size, np.float32)
    seen = []
    for _ in range(60 * SAMPLE_RATE // size):
        buffer.append(piece)
        buffer.drop_before(buffer.end - kept)
        seen.append(buffer.nbytes)

    assert len(set(seen[len(seen) // 2 :])) == 1
    assert max(seen) <= 4 * 4 * (kept + size)


def test_memory_is_given_back_after_a_long_segment() -> None:
    buffer = PcmBuffer()
    buffer.append(np.zeros(60 * SAMPLE_RATE, np.float32))
    long = buffer.nbytes
    for _ in range(200):
        buffer.append(np.zeros(SAMPLE_RATE, np.float32))
        buffer.drop_before(buffer.end - 1000)

    assert buffer.nbytes < long / 8


def test_what_is_cleared_takes_no_memory_and_may_be_written_again() -> None:
    buffer = PcmBuffer(7)
    buffer.append(known[:100])
    read = buffer.read(10, 20)
    buffer.clear()

    assert (buffer.nbytes, buffer.start, buffer.end) == (0, 107, 107)
    assert read.tolist() == known[3:13].tolist()
    buffer.append(known[:5])
    assert buffer.read(107, 112).tolist() == known[:5].tolist()


def test_what_was_dropped_cannot_be_read() -> None:
    buffer = PcmBuffer()
    buffer.append(known[:100])
    buffer.drop_before(50)

    for start, end in ((49, 60), (60, 101), (60, 59)):
        with pytest.raises(AssertionError):
            buffer.read(start, end)


def noise(samples: int, loudness: float = 0.5) -> Audio:
    rng = np.random.default_rng(samples)
    return (rng.standard_normal(samples) * loudness).astype(np.float32)


@given(st.integers(0, 60_000))
@settings(max_examples=30)
def test_the_quietest_point_is_in_the_pause(at: int) -> None:
    pcm = noise(5 * SAMPLE_RATE)
    pause = 3200
    pcm[at : at + pause] *= 0.01

    assert at <= quietest_point(pcm) <= at + pause


def test_a_short_pause_is_cut_in_its_middle() -> None:
    pcm = noise(SAMPLE_RATE)
    pcm[8000:8960] = 0

    assert quietest_point(pcm) == 8480


def test_of_two_pauses_the_quieter_is_taken() -> None:
    pcm = noise(5 * SAMPLE_RATE)
    pcm[10_000:14_000] *= 0.1
    pcm[50_000:52_000] *= 0.01

    assert 50_000 <= quietest_point(pcm) <= 52_000


@given(st.integers(0, 20_000))
@settings(max_examples=30)
def test_the_quietest_point_lies_within(samples: int) -> None:
    assert 0 <= quietest_point(noise(samples)) <= samples


def test_a_click_in_silence_and_no_audio_at_all() -> None:
    click = np.zeros(16_000, np.float32)
    click[480] = 1.0

    assert quietest_point(click) > 480
    assert quietest_point(np.zeros(0, np.float32)) == 0
    assert quietest_point(noise(900)) == 900, "too short to look for one"
