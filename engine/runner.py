"""Where a step runs: the protocol that the worker knows, and the simplest way to fill it."""

import asyncio
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Protocol, cast

from engine.messages import ModelInfo, Progress, SegmentKey, Step, StepResult
from engine.models.base import (
    ModelOptions,
    ModelUnavailableError,
    SpeechModel,
    Tell,
    TellingModel,
    nobody,
)
from engine.models.catalog import load_model

__all__ = [
    "ModelOptions",
    "ModelUnavailableError",
    "Runner",
    "SingleCopy",
    "StepFailedError",
    "ThreadRunner",
]


class StepFailedError(Exception):
    """A batch came to nothing: the model raised, its process died, or it took too long."""


class Runner(Protocol):
    """One or more copies of a model; each takes up to `ModelInfo.lanes` batches side by side."""

    tell: Tell
    """Called, in the event loop, with the progress of steps that want it; never after their
    results. At first `nobody`."""

    @property
    def info(self) -> ModelInfo:
        """Of the model; known once `start` has returned."""
        ...

    @property
    def ready(self) -> bool:
        """Whether the model has done its warm-up step and takes work."""
        ...

    @property
    def restarts(self) -> int:
        """How often the model had to be started anew."""
        ...

    @property
    def busy_s(self) -> float:
        """Seconds that the model took for the batches that came back, those of all lanes added."""
        ...

    @property
    def copies(self) -> int:
        """How many copies of the model there are; at least one."""
        ...

    def place(self, key: SegmentKey) -> int:
        """The copy that keeps what it can of this segment. Another takes its next step, in full, if
        this one is gone by then. The steps of a batch share a copy."""
        ...

    async def start(self) -> None:
        """Loads and warms the model.

        Raises:
            ModelUnavailableError: it cannot be had here.
        """
        ...

    async def step(self, batch: Sequence[Step]) -> list[StepResult]:
        """Runs a batch; results in its order.

        Raises:
            StepFailedError: nothing is known of any of its steps; each may be tried again.
        """
        ...

    def forget(self, key: SegmentKey) -> None:
        """The segment is over."""
        ...

    async def close(self) -> None:
        """Ends the runner; a step in flight may fail."""
        ...


class SingleCopy:
    """Of a runner with one copy of its model."""

    copies = 1

    def place(self, key: SegmentKey) -> int:
        """See `Runner`."""
        return 0


class ThreadRunner(SingleCopy):
    """The model in a thread of this process: for models that release the GIL, and for tests."""

    def __init__(self, model: str | SpeechModel, options: ModelOptions | None = None) -> None:
        self._wanted, self._options = model, options
        self._model: SpeechModel | None = None
        self._lanes = ThreadPoolExecutor(1, thread_name_prefix="model")
        self.tell: Tell = nobody
        self.restarts = 0
        self.busy_s = 0.0

    @property
    def info(self) -> ModelInfo:
        """See `Runner`."""
        assert self._model is not None
        return self._model.info

    @property
    def ready(self) -> bool:
        """See `Runner`."""
        return self._model is not None

    async def start(self) -> None:
        """See `Runner`."""
        loop = asyncio.get_running_loop()
        self._model = await loop.run_in_executor(self._lanes, self._load)
        if self._model.info.tells_progress:

            def tell(progress: Progress) -> None:
                loop.call_soon_threadsafe(self.tell, progress)

            cast(TellingModel, self._model).tell = tell
        if self._model.info.lanes > 1:
            self._lanes.shutdown()
            self._lanes = ThreadPoolExecutor(self._model.info.lanes, thread_name_prefix="lane")

    def _load(self) -> SpeechModel:
        wanted = self._wanted
        model = load_model(wanted, self._options) if isinstance(wanted, str) else wanted
        model.warm_up()
        return model

    async def step(self, batch: Sequence[Step]) -> list[StepResult]:
        """See `Runner`."""
        assert self._model is not None
        loop = asyncio.get_running_loop()
        try:
            results, seconds = await loop.run_in_executor(self._lanes, self._timed, batch)
        except Exception as error:
            raise StepFailedError(f"the model raised {type(error).__name__}") from error
        self.busy_s += seconds
        return results

    def _timed(self, batch: Sequence[Step]) -> tuple[list[StepResult], float]:
        assert self._model is not None
        began = time.perf_counter()
        results = self._model.step([replace(step, audio=step.samples) for step in batch])
        return results, time.perf_counter() - began

    def forget(self, key: SegmentKey) -> None:
        """See `Runner`."""
        assert self._model is not None
        self._model.forget(key)

    async def close(self) -> None:
        """See `Runner`."""
        self._lanes.shutdown(wait=True)
