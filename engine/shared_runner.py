"""One model for several gateway processes of a machine: who keeps it, and who uses it.

The model's process is the supervisor's (`SharedModel`), which restarts it like any other; gateways
(`SharedRunner`) reach it over a Unix socket, past the supervisor, so that audio travels once. The
supervisor holds that socket: gateways that come back while the model restarts wait in its queue.
"""

import asyncio
import contextlib
import itertools
import json
import socket
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import structlog

from engine.messages import (
    ModelInfo,
    SegmentKey,
    Step,
    StepResult,
    loads,
    pack_audio,
    unpack_progress,
    unpack_result,
)
from engine.models.base import Tell, nobody
from engine.pipe import Pipe
from engine.process_runner import LOAD_WITHIN_S, Child, ProcessRunner
from engine.runner import ModelOptions, ModelUnavailableError, SingleCopy, StepFailedError
from engine.sent import Sent

LISTEN_BACKLOG = 256
RECONNECT_PAUSE_S = 0.5
GONE = (OSError, asyncio.IncompleteReadError)

log = structlog.get_logger("engine.runner")


class SharedModel(ProcessRunner):
    """Keeps the model's process alive; takes no steps itself.

    Args:
        path: of the Unix socket; in a folder that is nobody else's.
        step_within_s: after which a batch counts as hung. It is noticed some seconds later, by the
            pings that are not answered.
    """

    def __init__(
        self, path: Path, model: str, options: ModelOptions | None = None, *,
        step_within_s: float = 15.0,
    ) -> None:  # fmt: skip
        super().__init__(model, options, step_within_s=step_within_s)
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.bind(str(path))
        path.chmod(0o600)
        self._socket.listen(LISTEN_BACKLOG)

    async def _spawn(self) -> Child:
        listening = self._socket.fileno()
        options = json.dumps(asdict(self._options))
        return await Child.spawn(
            "engine.shared_child", str(listening), self._model, options, str(self._step_within_s),
            pass_fds=[listening],
        )  # fmt: skip

    async def close(self) -> None:
        """See `Runner`."""
        await super().close()
        self._socket.close()


class SharedRunner(SingleCopy):
    """See `engine.runner.Runner`. The model is in a process that others use too."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._info: ModelInfo | None = None
        self._pipe: Pipe | None = None
        self._connected = asyncio.Event()
        self._sent = Sent()
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._numbers = itertools.count(1)
        self._listening: asyncio.Task[None] | None = None
        self.tell: Tell = nobody
        self.restarts = 0
        self.busy_s = 0.0

    @property
    def info(self) -> ModelInfo:
        """See `Runner`."""
        assert self._info is not None
        return self._info

    @property
    def ready(self) -> bool:
        """See `Runner`."""
        return self._connected.is_set()

    async def start(self) -> None:
        """See `Runner`."""
        try:
            async with asyncio.timeout(LOAD_WITHIN_S):
                await self._connect()
        except (*GONE, TimeoutError) as error:
            raise ModelUnavailableError("the model's process cannot be reached") from error
        self._listening = asyncio.create_task(self._keep_listening(), name="shared-model")

    async def _connect(self) -> None:
        pipe = await Pipe.to(str(self._path))
        try:
            hello = await pipe.receive()
        except BaseException:
            pipe.close()
            raise
        self._info = ModelInfo(**hello["info"])
        self._pipe = pipe
        self._connected.set()

    async def step(self, batch: Sequence[Step]) -> list[StepResult]:
        """See `Runner`."""
        answer = await self._call(batch)
        if "missing" in answer:  # nobody had asked for some of them in long; none was taken
            self._sent.lose(batch)
            answer = await self._call(batch)
        if "results" not in answer:
            raise StepFailedError(answer.get("failed", "the model has lost what it was sent"))
        self.busy_s += answer["seconds"]
        return [unpack_result(result) for result in answer["results"]]

    async def _call(self, batch: Sequence[Step]) -> dict[str, Any]:
        await self._connected.wait()
        assert self._pipe is not None
        number = next(self._numbers)
        answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._answers[number] = answer
        steps, audio = self._sent.pack(batch)
        self._pipe.send({
            "call": number,
            "keys": [list(step.key) for step in batch],
            "steps": steps,
            **pack_audio(audio),
        })  # fmt: skip
        try:
            return await answer
        finally:
            del self._answers[number]

    def forget(self, key: SegmentKey) -> None:
        """See `Runner`."""
        if self._sent.pop(key, None) is not None and self._pipe is not None:
            self._pipe.send({"forget": [list(key)]})

    async def _keep_listening(self) -> None:
        while True:
            assert self._pipe is not None
            with contextlib.suppress(*GONE):
                await self._listen(self._pipe)
            self._lose()
            while not self.ready:
                try:
                    await self._connect()
                except GONE:  # it died again, while it loaded
                    await asyncio.sleep(RECONNECT_PAUSE_S)

    async def _listen(self, pipe: Pipe) -> None:
        while True:
            message = await pipe.receive()
            told = loads(message["told"])
            answer = self._answers.get(message["call"])
            if "progress" in told:
                self.tell(unpack_progress(told["progress"]))
            elif answer is not None and not answer.done():
                answer.set_result(told)

    def _lose(self) -> None:
        assert self._pipe is not None
        self._connected.clear()
        self._pipe.close()
        self._pipe = None
        self._sent.clear()
        self.restarts += 1
        log.warning("model_lost", restarts=self.restarts)
        for answer in self._answers.values():
            if not answer.done():
                answer.set_result({"failed": "the model's process died"})

    async def close(self) -> None:
        """See `Runner`."""
        if self._listening is not None:
            self._listening.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._listening
        if self._pipe is not None:
            self._pipe.close()
            await self._pipe.wait_closed()
