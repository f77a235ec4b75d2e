"""Only new audio travels, and all of it where nothing is known to be there."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from engine.messages import HeldAudio, SegmentKey, Step, loads, unpack_step
from engine.sent import Sent

AUDIO = {
    "a": np.arange(1000, dtype=np.float32),
    "b": np.arange(1000, dtype=np.int16),
    "c": np.arange(1000, dtype=np.int16) * np.int16(-30),
}


def step(session: str, samples: int) -> Step:
    return Step(SegmentKey(session, 1), AUDIO[session][:samples])


def test_audio_is_sent_once() -> None:
    sent = Sent()

    assert [sent.start(step("a", samples)) for samples in (300, 500, 400, 700)] == [
        0,
        300,
        400,
        500,
    ]


def test_what_was_not_taken_is_sent_again_in_full() -> None:
    sent = Sent()
    sent.pack([step("a", 300), step("b", 200), step("c", 100)])
    sent.lose([step("a", 500), step("b", 400)])

    _, audio = sent.pack([step("a", 500), step("b", 400), step("c", 150)])
    assert len(audio) == 500 + 400 + 50


BATCHES = st.lists(
    st.dictionaries(st.sampled_from("abc"), st.integers(0, 1000), min_size=1), max_size=20
)


@given(BATCHES)
def test_all_of_each_step_arrives(batches: list[dict[str, int]]) -> None:
    """A final may be shorter than the partial before it, and beside 16-bit audio there is other."""
    sent, held = Sent(), {name: HeldAudio() for name in "abc"}
    for each in batches:
        steps = [step(name, samples) for name, samples in each.items()]
        packed, audio = sent.pack(steps)
        told, at = loads(packed), 0
        for wanted, described, length in zip(steps, told["steps"], told["lengths"], strict=True):
            new = audio[at : at + length]
            arrived = unpack_step(described, held[wanted.key.session], new)
            assert np.array_equal(arrived.audio, wanted.samples)
            at += length
        assert at == len(audio)
