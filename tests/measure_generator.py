"""What `scribewire bench` itself costs: ``python -m tests.measure_generator [--detector]``.

Its clients stream to a process that opens a session for whoever comes, and throws away what it
hears. So all CPU that is not that process's is the load generator's; and that process's is what no
gateway on these sockets does without, while that process is not full. With ``--detector`` it takes
as many frames as come through the voice activity detector's network, always the same ones, and does
nothing else for them.
"""

import argparse
import json
import multiprocessing
import re
import selectors
import socket
import time
from typing import Any

import numpy as np
from websockets.frames import Frame, Opcode
from websockets.utils import accept_key

from engine.messages import SAMPLE_RATE
from engine.onnx_weights import read_weights
from engine.vad import FRAME, model_file
from engine.vad_network import SAMPLES, WIDTH, VadNetwork
from engine.worker import FRAMES_A_PASS, LISTEN_EVERY_S
from gateway.bench.load import playing
from gateway.bench.plan import SAMPLE_BYTES, Kind, Load, Track
from gateway.bench.usage import Sampler, mean_usage
from gateway.bench.visits import Shape, visits

FRAME_MS = 100
KEY = re.compile(rb"sec-websocket-key: *(\S+)", re.IGNORECASE)
PARTIAL_EVERY_FRAMES = 20
SETTLED_S = 2.0
"""After the last session began, and before the first one ends."""


def text(**message: Any) -> bytes:
    return Frame(Opcode.TEXT, json.dumps(message).encode()).serialize(mask=False)


PARTIAL = text(
    type="partial", segment=1, revision=1, stable=20 * " word", unstable=10 * " word",
    start_ms=0, end_ms=2000, words=[], language="en",
)  # fmt: skip


class Sink:
    """A server that throws audio away; it knows by the count of bytes when a session is over."""

    def __init__(self, listener: socket.socket, frames: int) -> None:
        self._listener, self._frames = listener, frames
        self._frame_bytes = FRAME_MS * SAMPLE_RATE // 1000 * SAMPLE_BYTES
        self._heard: dict[socket.socket, int] = {}
        self._selector = selectors.DefaultSelector()
        self._buffer = bytearray(1 << 16)

    def serve(self) -> None:
        self._selector.register(self._listener, selectors.EVENT_READ)
        while True:
            self._turn()

    def _turn(self, wait_s: float | None = None) -> None:
        """Takes what there is, or comes within so long."""
        for key, _ in self._selector.select(wait_s):
            assert isinstance(key.fileobj, socket.socket)
            if key.fileobj is self._listener:
                self._accept()
            else:
                self._hear(key.fileobj)

    def _accept(self) -> None:
        connection, _ = self._listener.accept()
        found = KEY.search(connection.recv(4096))
        assert found is not None
        connection.sendall(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + accept_key(found[1].decode()).encode() + b"\r\n\r\n"
            + text(type="ready")
        )  # fmt: skip
        self._heard[connection] = 0
        self._selector.register(connection, selectors.EVENT_READ)

    def _hear(self, connection: socket.socket) -> int:
        """Takes what was sent; how many bytes."""
        size = connection.recv_into(self._buffer)
        before = self._heard[connection] // (PARTIAL_EVERY_FRAMES * self._frame_bytes)
        self._heard[connection] = heard = self._heard[connection] + size
        if heard // (PARTIAL_EVERY_FRAMES * self._frame_bytes) > before:
            connection.sendall(PARTIAL)
        if heard > self._frames * (self._frame_bytes + 8) or not size:
            self._selector.unregister(connection)
            connection.sendall(text(type="done", segments=0) + b"\x88\x02\x03\xe8")
            connection.close()
        return size


class ListeningSink(Sink):
    """Takes frames through the network as they come, in passes like the engine's worker's."""

    def __init__(self, listener: socket.socket, frames: int) -> None:
        super().__init__(listener, frames)
        self._network = VadNetwork(read_weights(model_file()))
        self._unheard = self._next_pass = 0.0
        """Frames of the detector; and when it hears them, by `time.monotonic`."""
        random = np.random.default_rng(0)
        self._windows = random.normal(0, 0.1, (FRAMES_A_PASS, SAMPLES)).astype(np.float32)
        self._states = np.zeros((FRAMES_A_PASS, 2 * WIDTH), np.float32)

    def _turn(self, wait_s: float | None = None) -> None:
        if self._unheard >= 1:
            wait_s = max(0.0, self._next_pass - time.monotonic())
        super()._turn(wait_s)
        if self._unheard >= 1 and time.monotonic() >= self._next_pass:
            self._listen()

    def _hear(self, connection: socket.socket) -> int:
        size = super()._hear(connection)
        self._unheard += size / (FRAME * SAMPLE_BYTES)
        return size

    def _listen(self) -> None:
        count = min(int(self._unheard), FRAMES_A_PASS)
        began = time.monotonic()
        self._network.advance(self._network.gates(self._windows[:count]), self._states[:count])
        self._unheard -= count
        # What did not fit into this pass is heard at once.
        self._next_pass = 0.0 if self._unheard >= 1 else began + LISTEN_EVERY_S


def serve(listener: socket.socket, frames: int, detector: bool) -> None:
    (ListeningSink if detector else Sink)(listener, frames).serve()


def measure(sessions: int, seconds: float, processes: int, detector: bool) -> None:
    """Prints CPU by frame, and how late frames were."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    frames = round(seconds * 1000 / FRAME_MS)
    sink = multiprocessing.Process(target=serve, args=(listener, frames, detector), daemon=True)
    sink.start()
    kinds = (Kind(Track("silence", bytes(3 * SAMPLE_RATE * SAMPLE_BYTES))),)
    load = Load(f"ws://127.0.0.1:{listener.getsockname()[1]}", kinds,
                visits(Shape(sessions, 2.0, seconds), kinds, FRAME_MS), FRAME_MS)  # fmt: skip
    with Sampler(sink.pid) as sampler, playing(load, processes) as (began, played):
        logs = list(played)
    usage = mean_usage(sampler.samples, began + load.begun_s + SETTLED_S, began + seconds)
    assert usage is not None
    late = sorted(1000 * (at - log.due(i)) for log in logs for i, at in enumerate(log.sent))
    sink.kill()
    failed = sum(bool(log.failure) for log in logs)
    frame_us = 1e6 / sessions / (1000 / FRAME_MS)
    shares = ", ".join(f"p{p} {late[int(p / 100 * (len(late) - 1))]:.1f}" for p in (50, 95, 99))
    print(
        f"{sessions} sessions, {processes} process(es), {failed} failed: "
        f"{usage.generator_cores:.2f} of a core, {usage.generator_cores * frame_us:.0f} us a "
        f"frame; sent late by {shares} ms; sink {usage.gateway_cores:.2f}, "
        f"{usage.gateway_cores * frame_us:.0f} us a frame; others {usage.others_cores:.2f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=12.0)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--detector", action="store_true")
    given = parser.parse_args()
    measure(given.sessions, given.seconds, given.processes, given.detector)


if __name__ == "__main__":
    main()
