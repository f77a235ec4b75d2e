"""The model in a supervised process of its own: pinged, killed when it hangs, restarted, warm.

Only new audio travels; the child keeps what it was sent of each open segment. When the child is
gone so is that, and everything is sent again from the gateway's own copy (P3).
"""

import asyncio
import contextlib
import itertools
import json
import os
import socket
import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import structlog

from engine.messages import (
    ModelInfo,
    SegmentKey,
    Step,
    StepResult,
    pack_step,
    unpack_progress,
    unpack_result,
)
from engine.models.base import Tell, nobody
from engine.pipe import Pipe
from engine.runner import ModelOptions, ModelUnavailableError, SingleCopy, StepFailedError
from engine.sent import Sent

PING_EVERY_S = 1.0
PONG_WITHIN_S = 5.0
RESTART_PAUSES_S = (0.0, 0.5, 1.0, 2.0, 5.0, 10.0)
LOAD_WITHIN_S = 600.0
"""Large models read gigabytes."""

log = structlog.get_logger("engine.runner")


def _environment() -> dict[str, str]:
    """One heap for all threads instead of one each: 245 MB instead of 380 for the embedded model.

    Measured over an hour of speech, at the same speed; with several heaps it also went up and down
    by 70 MB from one ten minutes to the next.
    """
    return {"MALLOC_ARENA_MAX": "1", **os.environ}


class Child:
    """One life of the model's process."""

    def __init__(self, process: asyncio.subprocess.Process, pipe: Pipe) -> None:
        self.process, self._pipe = process, pipe
        self.send, self.receive = pipe.send, pipe.receive
        self.sent = Sent()
        self.pong_at = 0.0

    @classmethod
    async def spawn(cls, module: str, *arguments: str, pass_fds: Sequence[int] = ()) -> "Child":
        """Starts a process that runs ``module``; its first argument is its end of the pipe."""
        ours, theirs = socket.socketpair()
        with theirs:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", module, str(theirs.fileno()), *arguments,
                pass_fds=(theirs.fileno(), *pass_fds),
                stdin=asyncio.subprocess.DEVNULL, env=_environment(),
            )  # fmt: skip
        return cls(process, await Pipe.over(ours))

    async def end(self) -> None:
        """Kills the process and waits for its end."""
        self._pipe.close()
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        await self.process.wait()
        await self._pipe.wait_closed()


class ProcessRunner(SingleCopy):
    """See `engine.runner.Runner`."""

    def __init__(
        self, model: str, options: ModelOptions | None = None, *, step_within_s: float = 15.0
    ) -> None:
        self._model, self._options = model, options or ModelOptions()
        self._step_within_s = step_within_s
        self._info: ModelInfo | None = None
        self._child: Child | None = None
        self._alive = asyncio.Event()
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._numbers = itertools.count(1)
        self._supervisor: asyncio.Task[None] | None = None
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
        return self._alive.is_set()

    @property
    def pid(self) -> int | None:
        """Of the model's process, while there is one."""
        return self._child.process.pid if self._child is not None else None

    async def start(self) -> None:
        """See `Runner`."""
        await self._launch()
        self._supervisor = asyncio.create_task(self._supervise(), name="runner-supervisor")

    async def _spawn(self) -> Child:
        options = json.dumps(asdict(self._options))
        return await Child.spawn("engine.runner_child", self._model, options)

    async def _launch(self) -> None:
        child = await self._spawn()
        try:
            async with asyncio.timeout(LOAD_WITHIN_S):
                hello = await child.receive()
        except (OSError, asyncio.IncompleteReadError, TimeoutError) as error:
            await child.end()
            raise ModelUnavailableError(
                f"the process of model {self._model!r} ended while loading; see the lines above"
            ) from error
        except BaseException:
            await child.end()
            raise
        if "unavailable" in hello:
            await child.end()
            raise ModelUnavailableError(hello["unavailable"])
        self._info = ModelInfo(**hello["info"])
        self._child = child
        self._alive.set()

    async def step(self, batch: Sequence[Step]) -> list[StepResult]:
        """See `Runner`."""
        await self._alive.wait()
        child = self._child
        assert child is not None
        number = next(self._numbers)
        answer = asyncio.get_running_loop().create_future()
        self._answers[number] = answer
        child.send(
            {"batch": number, "steps": [pack_step(step, child.sent.start(step)) for step in batch]}
        )
        try:
            async with asyncio.timeout(self._step_within_s):
                reply = await answer
        except TimeoutError:
            log.warning("step_too_slow", limit_s=self._step_within_s, steps=len(batch))
            self._alive.clear()  # who comes next waits for the new process
            child.process.kill()
            raise StepFailedError("the model took too long") from None
        finally:
            del self._answers[number]
        if "failed" in reply:
            raise StepFailedError(reply["failed"])
        self.busy_s += reply["seconds"]
        return [unpack_result(result) for result in reply["results"]]

    def forget(self, key: SegmentKey) -> None:
        """See `Runner`."""
        if self._child is not None and self._child.sent.pop(key, None) is not None:
            self._child.send({"forget": list(key)})

    async def _supervise(self) -> None:
        lives = 0
        while True:
            assert self._child is not None
            began = asyncio.get_running_loop().time()
            await self._attend(self._child)
            await self._bury()
            # A child that lived for a minute was well; only quick deaths in a row slow us down.
            lives = 0 if asyncio.get_running_loop().time() - began > 60 else lives + 1
            await self._relaunch(lives)

    async def _relaunch(self, deaths: int) -> None:
        while True:
            await asyncio.sleep(
                RESTART_PAUSES_S[min(deaths, len(RESTART_PAUSES_S)) - 1] if deaths else 0
            )
            self.restarts += 1
            try:
                await self._launch()
            except ModelUnavailableError as error:
                log.error("runner_restart_failed", reason=str(error))
                deaths += 1
            else:
                log.info("runner_restarted", restarts=self.restarts)
                return

    async def _attend(self, child: Child) -> None:
        """Returns when the child is dead or hangs."""
        child.pong_at = asyncio.get_running_loop().time()
        listening = asyncio.create_task(self._listen(child))
        try:
            while True:
                child.send({"ping": 0})
                await asyncio.wait({listening}, timeout=PING_EVERY_S)
                if listening.done():
                    listening.result()
                    return
                if asyncio.get_running_loop().time() - child.pong_at > PONG_WITHIN_S:
                    log.warning("runner_hangs", silent_s=PONG_WITHIN_S)
                    return
        finally:
            listening.cancel()

    async def _listen(self, child: Child) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while True:
                message = await child.receive()
                child.pong_at = asyncio.get_running_loop().time()
                if "progress" in message:
                    self.tell(unpack_progress(message["progress"]))
                    continue
                answer = self._answers.get(message.get("batch", 0))
                if answer is not None and not answer.done():
                    answer.set_result(message)

    async def _bury(self) -> None:
        assert self._child is not None
        self._alive.clear()
        child, self._child = self._child, None
        await child.end()
        log.warning("runner_died", exit_code=child.process.returncode)
        for answer in self._answers.values():
            if not answer.done():
                answer.set_result({"failed": "the model's process died"})

    async def close(self) -> None:
        """See `Runner`."""
        if self._supervisor is not None:
            self._supervisor.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._supervisor
        if self._child is not None:
            self._alive.clear()
            child, self._child = self._child, None
            await child.end()
