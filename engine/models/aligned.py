"""Any speech model and a forced aligner beside it: finals with the times of their words."""

import logging
import threading
from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol, cast

from engine.messages import Audio, ModelInfo, SegmentKey, Step, StepResult, TimedWord
from engine.models.base import SpeechModel, Tell, TellingModel
from engine.spacing import decode

log = logging.getLogger(__name__)


class WordAligner(Protocol):
    """What is asked of an aligner; `engine.models.qwen3_asr.aligner.Aligner` is one."""

    def align(
        self, clips: Sequence[Audio], texts: Sequence[str], languages: Sequence[str | None]
    ) -> list[tuple[TimedWord, ...]]:
        """The words of each text with their times in its clip; called from one thread at a time."""
        ...

    def check(self) -> None:
        """Aligns made-up audio.

        Raises:
            ModelUnavailableError: that does not work.
        """
        ...


class AlignedModel:
    """See `engine.models.base.SpeechModel`. Adds words to the results of steps that want them."""

    def __init__(self, model: SpeechModel, aligner: WordAligner) -> None:
        self._model, self._aligner = model, aligner
        self._one_at_a_time = threading.Lock()
        """The model may have several lanes."""
        self.info: ModelInfo = replace(model.info, words=True)

    @property
    def tell(self) -> Tell:
        """See `TellingModel`."""
        return cast(TellingModel, self._model).tell

    @tell.setter
    def tell(self, tell: Tell) -> None:
        cast(TellingModel, self._model).tell = tell

    def step(self, batch: Sequence[Step]) -> list[StepResult]:
        """See `SpeechModel`; the texts of all steps that want words are aligned together."""
        results = self._model.step(batch)
        wanting = [i for i, step in enumerate(batch) if step.words]
        if wanting:
            found = self._align([batch[i] for i in wanting], [results[i] for i in wanting])
            for i, words in zip(wanting, found, strict=True):
                results[i] = replace(results[i], words=words)
        return results

    def _align(
        self, steps: Sequence[Step], results: Sequence[StepResult]
    ) -> list[tuple[TimedWord, ...]]:
        try:
            with self._one_at_a_time:
                return self._aligner.align(
                    [step.samples for step in steps],
                    [decode(b"".join(result.pieces))[0] for result in results],
                    [result.language for result in results],
                )
        except Exception:  # whatever it is, the finals are worth more than their words' times
            log.exception("the aligner failed; %d finals go without word times", len(steps))
            return [()] * len(steps)

    def forget(self, key: SegmentKey) -> None:
        """See `SpeechModel`."""
        self._model.forget(key)

    def warm_up(self) -> None:
        """See `SpeechModel`.

        Raises:
            ModelUnavailableError: the aligner cannot align.
        """
        self._model.warm_up()
        self._aligner.check()
