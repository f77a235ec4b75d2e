"""A model with an aligner beside it: who gets words, from what, and what a fault costs."""

import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from engine.messages import Audio, SegmentKey, Step, TimedWord
from engine.models.aligned import AlignedModel
from engine.models.base import ModelUnavailableError
from tests.engine.models.doubles import LanesModel, OneWordASecondModel

SECOND = 16_000


class EvenAligner:
    """A double: the words of a text last equally long. Remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[list[int], list[str], list[str | None]]] = []
        self.checked = False

    def align(
        self, clips: Sequence[Audio], texts: Sequence[str], languages: Sequence[str | None]
    ) -> list[tuple[TimedWord, ...]]:
        self.asked.append(([len(clip) for clip in clips], list(texts), list(languages)))
        return [even(len(clip), text) for clip, text in zip(clips, texts, strict=True)]

    def check(self) -> None:
        self.checked = True


class FailingAligner(EvenAligner):
    """A double: raises, whatever it is asked."""

    def align(
        self, clips: Sequence[Audio], texts: Sequence[str], languages: Sequence[str | None]
    ) -> list[tuple[TimedWord, ...]]:
        raise RuntimeError("no memory")

    def check(self) -> None:
        raise ModelUnavailableError("take another")


class SlowAligner(EvenAligner):
    """A double: notices when it is called while it is at work."""

    def __init__(self) -> None:
        super().__init__()
        self._busy = threading.Lock()
        self.disturbed = 0

    def align(
        self, clips: Sequence[Audio], texts: Sequence[str], languages: Sequence[str | None]
    ) -> list[tuple[TimedWord, ...]]:
        self.disturbed += not self._busy.acquire(blocking=False)
        time.sleep(0.02)
        self._busy.release()
        return super().align(clips, texts, languages)


def even(samples: int, text: str) -> tuple[TimedWord, ...]:
    words = text.split()
    ms = samples // 16 // max(1, len(words))
    return tuple(TimedWord(word, i * ms, (i + 1) * ms) for i, word in enumerate(words))


def step(seconds: int, *, words: bool, final: bool = True, session: str = "s") -> Step:
    audio = np.zeros(seconds * SECOND, np.float32)
    return Step(SegmentKey(session, 1), audio, final=final, words=words)


def test_the_steps_that_want_words_are_aligned_in_one_batch() -> None:
    inner, aligner = OneWordASecondModel(), EvenAligner()
    model = AlignedModel(inner, aligner)
    batch = [
        step(2, words=True), step(3, words=False), step(1, words=True),
        step(4, words=False, final=False),
    ]  # fmt: skip

    results = model.step(batch)

    assert aligner.asked == [([2 * SECOND, SECOND], [" word0 word1", " word0"], ["en", "en"])]
    assert [result.words for result in results] == [
        (TimedWord("word0", 0, 1000), TimedWord("word1", 1000, 2000)), (),
        (TimedWord("word0", 0, 1000),), (),
    ]  # fmt: skip
    assert [len(result.tokens) for result in results] == [2, 3, 1, 4]


def test_who_wants_none_does_not_pay() -> None:
    aligner = EvenAligner()
    AlignedModel(OneWordASecondModel(), aligner).step([step(2, words=False)])

    assert aligner.asked == []


def test_it_is_the_model_but_for_the_words() -> None:
    inner, aligner = OneWordASecondModel(), EvenAligner()
    model = AlignedModel(inner, aligner)
    model.forget(SegmentKey("s", 1))
    model.warm_up()

    assert (model.info.words, inner.info.words) == (True, False)
    assert model.info.name == inner.info.name
    assert inner.forgotten == [SegmentKey("s", 1)]
    assert aligner.checked


def test_a_fault_of_the_aligner_costs_the_words_and_never_the_final(
    caplog: pytest.LogCaptureFixture,
) -> None:
    model = AlignedModel(OneWordASecondModel(), FailingAligner())

    [one, two] = model.step([step(2, words=True), step(1, words=True)])

    assert (len(one.tokens), one.words) == (2, ())
    assert (len(two.tokens), two.words) == (1, ())
    [record] = caplog.records
    assert "2 finals go without word times" in record.getMessage()
    assert record.exc_info is not None
    assert "word0" not in caplog.text, "what was said is not for the log"


def test_an_aligner_that_cannot_work_keeps_the_server_from_starting() -> None:
    with pytest.raises(ModelUnavailableError, match="take another"):
        AlignedModel(OneWordASecondModel(), FailingAligner()).warm_up()


def test_lanes_take_turns() -> None:
    aligner = SlowAligner()
    model = AlignedModel(LanesModel(3, seconds=0), aligner)
    with ThreadPoolExecutor(3) as lanes:
        list(lanes.map(lambda i: model.step([step(1, words=True, session=f"{i}")]), range(9)))

    assert (len(aligner.asked), aligner.disturbed) == (9, 0)
