"""The process that `engine.process_runner` supervises: ``python -m engine.runner_child FD MODEL``.

The main thread reads and answers pings at once; one thread of its own runs the model.
"""

import ctypes
import os
import queue
import signal
import socket
import sys
import threading
import time
from dataclasses import asdict
from typing import Any

import numpy as np

from engine.messages import Audio, SegmentKey, Step, dumps, loads, pack_result, unpack_step
from engine.models.base import ModelUnavailableError, SpeechModel
from engine.models.catalog import load_model
from engine.process_runner import LENGTH_BYTES

TRIM_EVERY_S = 5.0


class FreeMemory:
    """Gives freed memory back to the system now and then.

    Each segment has another length, so blocks of every size come and go in the heaps of several
    threads; glibc keeps what it cannot join, a few per cent more every hour.
    """

    def __init__(self) -> None:
        self._trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc's alone
        self._next = 0.0

    def give_back(self) -> None:
        """Takes milliseconds, at most every `TRIM_EVERY_S`."""
        if self._trim is not None and time.monotonic() >= self._next:
            self._trim(0)
            self._next = time.monotonic() + TRIM_EVERY_S


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


class Worker(threading.Thread):
    """Runs batches, and keeps what came of each segment's audio until it is forgotten."""

    def __init__(self, wire: Wire, model: str) -> None:
        super().__init__(name="model", daemon=True)
        self.inbox: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self._wire, self._wanted = wire, model
        self._model: SpeechModel
        self._audio: dict[SegmentKey, Audio] = {}
        self._memory = FreeMemory()

    def run(self) -> None:
        """Loads the model, says hello, takes batches until the process ends."""
        try:
            self._model = load_model(self._wanted)
            self._model.warm_up()
        except ModelUnavailableError as error:
            self._wire.send({"unavailable": str(error)})
            return
        except BaseException:  # the gateway sees the end, and refers to these lines
            sys.excepthook(*sys.exc_info())
            os._exit(1)
        self._wire.send({"info": asdict(self._model.info)})
        while True:
            try:
                message = self.inbox.get(timeout=TRIM_EVERY_S)
            except queue.Empty:  # at rest
                self._memory.give_back()
                continue
            if "forget" in message:
                key = SegmentKey(*message["forget"])
                self._audio.pop(key, None)
                self._model.forget(key)
                self._memory.give_back()
            else:
                self._wire.send({"batch": message["batch"]} | self._batch(message["steps"]))

    def _batch(self, packed: list[dict[str, Any]]) -> dict[str, Any]:
        try:
            results = self._model.step([self._unpack(step) for step in packed])
        except Exception as error:  # any model's any fault: the gateway is told, the process lives
            sys.excepthook(*sys.exc_info())
            return {"failed": f"the model raised {type(error).__name__}"}
        return {"results": [pack_result(result) for result in results]}

    def _unpack(self, packed: dict[str, Any]) -> Step:
        key = SegmentKey(*packed["key"])
        held = self._audio.get(key, np.empty(0, np.float32))
        step = unpack_step(packed, held)
        if len(step.audio) > len(held):
            self._audio[key] = step.audio
        return step


def main() -> None:
    """Serves until the gateway is gone."""
    # Ctrl-C in a terminal reaches the whole group; the gateway decides when this process ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    wire = Wire(socket.socket(fileno=int(sys.argv[1])))
    worker = Worker(wire, sys.argv[2])
    worker.start()  # loads while we listen: a gateway that dies meanwhile leaves no process behind
    while (message := wire.receive()) is not None:
        if "ping" in message:
            wire.send({"pong": message["ping"]})
        else:
            worker.inbox.put(message)


if __name__ == "__main__":
    main()
