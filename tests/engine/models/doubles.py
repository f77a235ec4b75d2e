"""Models that are none, to isolate what is around a model. Each name says what it does."""

import os
import signal
import threading
import time
import zlib
from collections.abc import Sequence
from dataclasses import replace

from engine.messages import ModelInfo, Progress, SegmentKey, Step, StepResult
from engine.models.base import Tell, nobody

INFO = ModelInfo(
    name="double", languages={"en": "English"}, max_segment_ms=28_000, max_batch=4,
    exact_drafts=True, context=True, words=False,
)  # fmt: skip


class OneWordASecondModel:
    """Writes a numbered word for each second of audio, at once; remembers its steps."""

    info = INFO

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.batches: list[int] = []
        self.forgotten: list[SegmentKey] = []

    def step(self, batch: Sequence[Step]) -> list[StepResult]:
        self.batches.append(len(batch))
        self.steps += batch
        return [self.answer(step) for step in batch]

    def answer(self, step: Step) -> StepResult:
        count = len(step.audio) // 16_000
        return StepResult(
            tokens=tuple(range(count)),
            pieces=tuple(f" word{i}".encode() for i in range(count)),
            stop="eos",
            language="en",
            confidence=0.9,
        )

    def forget(self, key: SegmentKey) -> None:
        self.forgotten.append(key)

    def warm_up(self) -> None:
        pass


class DigestModel(OneWordASecondModel):
    """Writes a digest of each second of audio: a sample more or less changes every word after."""

    def answer(self, step: Step) -> StepResult:
        seconds = [step.audio[at : at + 16_000] for at in range(0, len(step.audio), 16_000)]
        digests = [zlib.crc32(second.tobytes()) for second in seconds]
        return StepResult(
            tokens=tuple(digests),
            pieces=tuple(f" {digest:x}".encode() for digest in digests),
            stop="eos",
            language="en",
            confidence=0.9,
        )


class ForgettingDigestModel(DigestModel):
    """Remembers no step: for what is asked of memory."""

    def step(self, batch: Sequence[Step]) -> list[StepResult]:
        return [self.answer(step) for step in batch]

    def forget(self, key: SegmentKey) -> None:
        pass


class TellingModel(OneWordASecondModel):
    """Tells of each word before its result, with pauses of ``seconds``."""

    def __init__(self, seconds: float = 0.0) -> None:
        super().__init__()
        self.info = replace(INFO, tells_progress=True)
        self.tell: Tell = nobody
        self._seconds = seconds

    def answer(self, step: Step) -> StepResult:
        result = super().answer(step)
        for count in range(1, len(result.pieces) + 1):
            if step.progress:
                time.sleep(self._seconds)
                text = b"".join(result.pieces[:count])
                self.tell(Progress(step.key, text, "en", result.confidence))
        return result


class RaisingModel(OneWordASecondModel):
    """Raises on the steps of sessions whose name begins with ``poison``."""

    def step(self, batch: Sequence[Step]) -> list[StepResult]:
        if any(step.key.session.startswith("poison") for step in batch):
            raise RuntimeError("poison")
        return super().step(batch)


class SlowModel(OneWordASecondModel):
    """Takes ``seconds`` for each step."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self._seconds = seconds

    def step(self, batch: Sequence[Step]) -> list[StepResult]:
        time.sleep(self._seconds * len(batch))
        return super().step(batch)


class LanesModel(OneWordASecondModel):
    """Has ``lanes``; each step takes ``seconds``. Raises on the session named ``poison``."""

    def __init__(self, lanes: int, *, seconds: float, poison: str = "") -> None:
        super().__init__()
        self.info = replace(INFO, max_batch=1, lanes=lanes)
        self._seconds, self._poison = seconds, poison
        self._lock, self._running = threading.Lock(), 0
        self.most_at_once = 0
        self.poisoned_with: list[int] = []
        """How many others ran when the poison came."""

    def step(self, batch: Sequence[Step]) -> list[StepResult]:
        with self._lock:
            self._running += 1
            self.most_at_once = max(self.most_at_once, self._running)
        time.sleep(self._seconds)
        with self._lock:
            self._running -= 1
            if batch[0].key.session == self._poison:
                self.poisoned_with.append(self._running)
                raise RuntimeError("poison")
            return super().step(batch)


class DyingModel(OneWordASecondModel):
    """Kills or stops its own process on sessions named ``die`` and ``hang``."""

    def step(self, batch: Sequence[Step]) -> list[StepResult]:
        for step in batch:
            if step.key.session == "die":
                os.kill(os.getpid(), signal.SIGKILL)
            if step.key.session == "hang":
                os.kill(os.getpid(), signal.SIGSTOP)
                time.sleep(60)  # the signal may reach another thread first
            if step.key.session == "slow":
                time.sleep(60)
            if step.key.session == "raise":
                raise RuntimeError("a fault of the model")
        return super().step(batch)


class DyingAtOnceModel(OneWordASecondModel):
    """Its process ends while it loads."""

    def __init__(self) -> None:
        os._exit(3)


class HeldModel(OneWordASecondModel):
    """Computes a batch when it is permitted to."""

    def __init__(self) -> None:
        super().__init__()
        self.taken: list[Sequence[Step]] = []
        self.waiting = 0
        """Batches that have begun and are not permitted yet."""
        self._permits = threading.Semaphore(0)

    def permit(self, batches: int) -> None:
        """Lets so many more batches through."""
        self._permits.release(batches)

    def step(self, batch: Sequence[Step]) -> list[StepResult]:
        self.taken.append(batch)
        self.waiting += 1
        assert self._permits.acquire(timeout=30)
        self.waiting -= 1
        return super().step(batch)
