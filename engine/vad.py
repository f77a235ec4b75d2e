"""Batched voice activity detection: Silero VAD 6, state per stream.

The package's own wrapper keeps the recurrent state inside the shared model; here state goes in and
comes out, so streams share a batch. The package's own graph takes 55 to 160 µs of a core for a
frame, whatever the batch; the same network as products over all frames of all streams
(`engine.vad_network`) takes 18 to 21 from 64 streams on, more than half of it multiplications near
the processor's limit, and a gateway with hundreds of sessions needs that. (``python -m
tests.measure_vad`` on an AVX2 core. The same products in numpy, which lays the weights out anew
for each, took 24 to 27 beside it, and up to four times as much for few streams.) To hear only every
second frame amid sure speech was tried: a third fewer frames, and segments that end elsewhere or
not at all, as the network's memory expects all of them. The weights are those of the package's ONNX
file, and the tests hold the results against that file's own.
"""

import importlib.util
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray

from engine.messages import S16, Pcm
from engine.onnx_weights import read_weights
from engine.vad_network import CONTEXT, FRAME, MIRRORED, SAMPLES, WIDTH, Matrix, VadNetwork

__all__ = ["FRAME", "VadState", "VoiceDetector", "model_file"]

_STATE = 2 * WIDTH + CONTEXT

_LARGEST = 1e4
"""Beyond what a cell's state comes to, and far from what would overflow."""


class VadState:
    """What the detector knows of one stream: its cell's state, and the last 64 samples.

    In one array, float32, shape ``(320,)``: batches are put together and taken apart from it.
    """

    __slots__ = ("numbers",)

    def __init__(self) -> None:
        self.numbers = np.zeros(_STATE, np.float32)

    def tobytes(self) -> bytes:
        """Its numbers, little-endian, recurrent state first."""
        return self.numbers.astype("<f4").tobytes()

    @classmethod
    def frombytes(cls, data: bytes) -> "VadState":
        """Inverse of `tobytes`.

        Raises:
            ValueError: not the numbers of a state.
        """
        if len(data) != 4 * _STATE:
            raise ValueError("not a state's bytes")
        numbers = np.frombuffer(data, "<f4").astype(np.float32)
        if not (np.abs(numbers) <= _LARGEST).all():  # also false for what is not a number
            raise ValueError("not a state's numbers")
        state = cls()
        state.numbers = numbers
        return state


def model_file() -> Path:
    """The network in the package silero-vad, which is not imported.

    Raises:
        FileNotFoundError: the package is missing.
    """
    spec = importlib.util.find_spec("silero_vad")
    if spec is None or spec.origin is None:
        raise FileNotFoundError(
            "the package silero-vad is missing; install it: pip install silero-vad"
        )
    return Path(spec.origin).parent / "data" / "silero_vad_16k_op15.onnx"


class VoiceDetector:
    """Speech probabilities for frames of many streams in one pass."""

    def __init__(self) -> None:
        self._network = VadNetwork(read_weights(model_file()))

    def listen(self, audio: list[Pcm], states: list[VadState]) -> list[list[float]]:
        """Speech probabilities of consecutive frames of each stream.

        Args:
            audio: of each stream what follows, shape ``(n,)``: one or more frames of `FRAME`
                samples; the last may be shorter, and is padded with silence.
            states: of the same streams; brought up to date.

        Returns:
            For each stream the probability of each of its frames, in 0 … 1.
        """
        if not audio:
            return []
        # Those with most frames first: whoever has a further one is always at the beginning.
        order = sorted(range(len(audio)), key=lambda i: -len(audio[i]))
        frames = [_framed(audio[i]) for i in order]
        counts = np.array([len(stream) for stream in frames])
        first = np.cumsum(counts) - counts
        turns = np.arange(first[-1] + counts[-1]) - np.repeat(first, counts)
        by_turn = np.argsort(turns, kind="stable")
        known = np.concatenate([states[i].numbers for i in order]).reshape(-1, _STATE)
        gates = self._network.gates(self._windows(frames, first, counts, by_turn, known))
        in_rows = np.empty(len(turns), np.float32)
        in_rows[by_turn] = self._take_turns(gates, np.bincount(turns).tolist(), known)
        all_of_them, starts = in_rows.tolist(), first.tolist()
        probabilities: list[list[float]] = [[]] * len(order)
        for row, i in enumerate(order):
            states[i].numbers[:] = known[row]
            probabilities[i] = all_of_them[starts[row] : starts[row] + len(frames[row])]
        return probabilities

    def _take_turns(self, gates: Matrix, speaking: list[int], known: Matrix) -> Matrix:
        """Takes the recurrent cell of each stream through its frames.

        Args:
            gates: of all streams' first frames, then of all second ones, and so on.
            speaking: how many streams have a first frame, a second one, and so on.
            known: of the streams, shape ``(streams, 320)``; brought up to date.

        Returns:
            Probabilities of all frames, in the same order.
        """
        recurrent = np.ascontiguousarray(known[:, : 2 * WIDTH])
        probabilities, at = [], 0
        for now, later in zip(speaking, [*speaking[1:], 0], strict=True):
            heard, recurrent = self._network.advance(gates[at : at + now], recurrent[:now])
            probabilities.append(heard[:, 0])
            known[later:now, : 2 * WIDTH] = recurrent[later:]
            at += now
        return np.concatenate(probabilities)

    def _windows(
        self,
        frames: list[Pcm],
        first: NDArray[np.intp],
        counts: NDArray[np.intp],
        by_turn: NDArray[np.intp],
        known: Matrix,
    ) -> Matrix:
        """What the network sees of each frame: context, frame and mirrored end.

        Args:
            first: row of each stream's first frame.
            counts: how many it has.
            by_turn: the rows in the order that is wanted.
            known: of the streams, shape ``(n, 320)``; their last samples are brought up to date.
        """
        heard = cast(Pcm, np.concatenate(frames))  # 16-bit samples only where all are
        unit = S16
        if heard.dtype != np.int16:
            unit = np.float32(1)
            units = [S16 if stream.dtype == np.int16 else unit for stream in frames]
            heard = np.multiply(heard, np.repeat(units, counts)[:, None], dtype=np.float32)
        ends = np.multiply(heard[:, -CONTEXT:], unit, dtype=np.float32)
        before = np.empty_like(ends)
        before[1:] = ends[:-1]
        before[first] = known[:, -CONTEXT:]
        known[:, -CONTEXT:] = ends[first + counts - 1]

        end = CONTEXT + FRAME
        windows = np.empty((len(heard), SAMPLES), np.float32)
        windows[:, :CONTEXT] = before[by_turn]
        np.multiply(heard[by_turn], unit, out=windows[:, CONTEXT:end], dtype=np.float32)
        windows[:, end:] = windows[:, end - 1 - MIRRORED : end - 1][:, ::-1]
        return windows


def _framed(pcm: Pcm) -> Pcm:
    """Shape ``(n,)`` to ``(frames, 512)``, the last frame padded with silence."""
    missing = -len(pcm) % FRAME
    whole = cast(Pcm, np.pad(pcm, (0, missing))) if missing else pcm
    return whole.reshape(-1, FRAME)
