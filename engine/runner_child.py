"""The process that `engine.process_runner` supervises.

``python -m engine.runner_child FD MODEL OPTIONS``, the options as JSON of `ModelOptions`.
The main thread reads and answers pings at once; the model runs in threads of its own, as many as it
has lanes.
"""

import json
import os
import queue
import signal
import socket
import sys
import threading
import time
from collections import defaultdict
from dataclasses import asdict
from typing import Any, cast

from engine.memory import TRIM_EVERY_S, FreeMemory, freeze_what_stays
from engine.messages import (
    HeldAudio,
    Progress,
    SegmentKey,
    Step,
    dumps,
    loads,
    pack_progress,
    pack_result,
    unpack_step,
)
from engine.models.base import ModelOptions, ModelUnavailableError, SpeechModel, TellingModel
from engine.models.catalog import load_model
from engine.pipe import LENGTH_BYTES


class Wire:
    """Length-prefixed msgpack maps over a socket; sending is safe from several threads."""

    def __init__(self, connection: socket.socket) -> None:
        self._reader = connection.makefile("rb")
        self._connection = connection
        self._lock = threading.Lock()

    def send(self, message: dict[str, Any]) -> None:
        """Sends one message."""
        data = dumps(message)
        with self._lock:
            self._connection.sendall(len(data).to_bytes(LENGTH_BYTES, "big") + data)

    def receive(self) -> dict[str, Any] | None:
        """The next message; None: the gateway is gone."""
        head = self._reader.read(LENGTH_BYTES)
        if len(head) < LENGTH_BYTES:
            return None
        length = int.from_bytes(head, "big")
        data = self._reader.read(length)
        return loads(data) if len(data) == length else None


class Worker:
    """Runs batches, and keeps what came of each segment's audio until it is forgotten."""

    def __init__(self, wire: Wire, model: str, options: ModelOptions) -> None:
        self.inbox: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self._wire, self._wanted, self._options = wire, model, options
        self._model: SpeechModel
        self._audio: defaultdict[SegmentKey, HeldAudio] = defaultdict(HeldAudio)
        self._memory = FreeMemory()
        self._in_order = threading.Lock()
        """Messages take effect on `_audio` in the order in which they came."""

    def start(self) -> None:
        """Begins, in threads that end with the process."""
        threading.Thread(target=self._load, name="lane-0", daemon=True).start()

    def _load(self) -> None:
        try:
            self._model = load_model(self._wanted, self._options)
            self._model.warm_up()
            freeze_what_stays()
        except ModelUnavailableError as error:
            self._wire.send({"unavailable": str(error)})
            return
        except BaseException:  # the gateway sees the end, and refers to these lines
            sys.excepthook(*sys.exc_info())
            os._exit(1)
        if self._model.info.tells_progress:
            cast(TellingModel, self._model).tell = self._tell
        self._wire.send({"info": asdict(self._model.info)})
        for lane in range(1, self._model.info.lanes):
            threading.Thread(target=self._run, name=f"lane-{lane}", daemon=True).start()
        self._run()

    def _run(self) -> None:
        while True:
            with self._in_order:
                number, steps = self._next()
            self._wire.send({"batch": number} | self._batch(steps))

    def _next(self) -> tuple[int, list[Step]]:
        """The next batch; what is to be forgotten before it is."""
        while True:
            try:
                message = self.inbox.get(timeout=TRIM_EVERY_S)
            except queue.Empty:  # at rest
                self._memory.give_back()
                continue
            if "batch" in message:
                return message["batch"], [self._unpack(step) for step in message["steps"]]
            key = SegmentKey(*message["forget"])
            self._audio.pop(key, None)
            self._model.forget(key)
            self._memory.give_back()

    def _batch(self, steps: list[Step]) -> dict[str, Any]:
        began = time.perf_counter()
        try:
            results = self._model.step(steps)
        except Exception as error:  # any model's any fault: the gateway is told, the process lives
            sys.excepthook(*sys.exc_info())
            return {"failed": f"the model raised {type(error).__name__}"}
        seconds = time.perf_counter() - began
        return {"results": [pack_result(result) for result in results], "seconds": seconds}

    def _tell(self, progress: Progress) -> None:
        self._wire.send({"progress": pack_progress(progress)})

    def _unpack(self, packed: dict[str, Any]) -> Step:
        return unpack_step(packed, self._audio[SegmentKey(*packed["key"])])


def main() -> None:
    """Serves until the gateway is gone."""
    # Ctrl-C in a terminal reaches the whole group; the gateway decides when this process ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    wire = Wire(socket.socket(fileno=int(sys.argv[1])))
    worker = Worker(wire, sys.argv[2], ModelOptions(**json.loads(sys.argv[3])))
    worker.start()  # loads while we listen: a gateway that dies meanwhile leaves no process behind
    while (message := wire.receive()) is not None:
        if "ping" in message:
            wire.send({"pong": message["ping"]})
        else:
            worker.inbox.put(message)


if __name__ == "__main__":
    main()
