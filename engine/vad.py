"""Batched voice activity detection: Silero VAD 6 in numpy, state per stream.

The package's own wrapper keeps the recurrent state inside the shared model; here state goes in and
comes out, so streams share a batch. On onnxruntime its network takes 47 µs of a core for a frame,
whatever the batch: it convolves the four time steps of each stream alone. As a few matrix products
over all frames of all streams it takes 19 µs from 64 streams on, near what the processor can
multiply, which a gateway with hundreds of sessions needs (with one stream it takes more, but
nothing is scarce then; both in one run of ``python -m tests.measure_vad``). The weights are those
of the package's ONNX file, and the tests hold the results against that file's own.

Results do not depend on the batch, to the last bit: matrix products have a multiple of `_ROWS`
rows, for which BLAS adds up each row in the same order wherever it stands.
"""

import importlib.util
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from engine.messages import Audio
from engine.onnx_weights import read_weights

FRAME = 512
"""Samples a frame, 32 ms."""
_CONTEXT = 64
"""Samples of the frame before that the network sees again."""
_MIRRORED = 64
"""Samples that are mirrored at the frame's end."""
_WINDOW, _HOP, _STEPS = 256, 128, 4
_WIDTH = 128
"""Of the recurrent state."""
_HALF = np.float32(0.5)
_ROWS = 16
_MOST_ROWS = 256
"""Rows worked on together: what does not fit into the cache is slower."""

_LARGEST = 1e4
"""Beyond what a cell's state comes to, and far from what would overflow."""

Matrix = NDArray[np.float32]


class VadState:
    """The recurrent state of one stream: ``(2, 128)`` float32, and the last 64 samples."""

    __slots__ = ("context", "recurrent")

    def __init__(self) -> None:
        self.recurrent = np.zeros((2, _WIDTH), np.float32)
        self.context = np.zeros(_CONTEXT, np.float32)

    def tobytes(self) -> bytes:
        """Its numbers, little-endian, recurrent state first."""
        return self.recurrent.astype("<f4").tobytes() + self.context.astype("<f4").tobytes()

    @classmethod
    def frombytes(cls, data: bytes) -> "VadState":
        """Inverse of `tobytes`.

        Raises:
            ValueError: not the numbers of a state.
        """
        if len(data) != 4 * (2 * _WIDTH + _CONTEXT):
            raise ValueError("not a state's bytes")
        numbers = np.frombuffer(data, "<f4").astype(np.float32)
        if not (np.abs(numbers) <= _LARGEST).all():  # also false for what is not a number
            raise ValueError("not a state's numbers")
        state = cls()
        state.recurrent[:] = numbers[: 2 * _WIDTH].reshape(2, _WIDTH)
        state.context[:] = numbers[2 * _WIDTH :]
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
        threadpool_limits(1, user_api="blas")  # more would spin for work on the model's cores
        weights = read_weights(model_file())
        self._cosines, self._sines = _folded(weights["model.stft.forward_basis_buffer"][:, 0].T)
        self._layers: list[tuple[list[tuple[slice, Matrix]], Matrix]] = []
        steps = _STEPS
        for layer, stride in enumerate((1, 2, 2, 1)):
            name = f"model.encoder.{layer}.reparam_conv"
            parts, steps = _unrolled(weights[f"{name}.weight"], steps, stride)
            self._layers.append((parts, np.tile(weights[f"{name}.bias"], steps)))
        rnn = "model.decoder.rnn"
        self._inward = _halved(weights[f"{rnn}.weight_ih"].T)
        self._onward = _halved(weights[f"{rnn}.weight_hh"].T)
        self._gate_bias = _halved(weights[f"{rnn}.bias_ih"] + weights[f"{rnn}.bias_hh"])
        self._verdict = weights["model.decoder.decoder.2.weight"][0, :, 0]
        self._verdict_bias = weights["model.decoder.decoder.2.bias"][0]

    def listen(self, audio: list[Audio], states: list[VadState]) -> list[list[float]]:
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
        frames = [_framed(pcm) for pcm in audio]
        counts = np.array([len(stream) for stream in frames])
        first = np.cumsum(counts) - counts
        gates = self._gates(_windows(frames, first, states))
        recurrent = np.stack([state.recurrent for state in states], axis=1)
        heard = np.empty(len(gates), np.float32)
        for turn in range(counts.max()):
            rows = np.flatnonzero(counts > turn)
            taken = np.resize(rows, _padded(len(rows)))
            after = self._advance(gates[first[taken] + turn], recurrent[:, taken])
            recurrent[:, rows] = after[:, : len(rows)]
            heard[first[rows] + turn] = self._probabilities(after[0, : len(rows)])
        for i, state in enumerate(states):
            state.recurrent[:] = recurrent[:, i]
        said = heard.tolist()
        return [said[at : at + len(stream)] for at, stream in zip(first, frames, strict=True)]

    def _gates(self, windows: Matrix) -> Matrix:
        """What each frame adds to the cell's gates; shape ``(rows, 640)`` to ``(rows, 512)``."""
        gates = np.empty((len(windows), 4 * _WIDTH), np.float32)
        for at in range(0, len(windows), _MOST_ROWS):
            part = windows[at : at + _MOST_ROWS]
            hidden = self._spectrum(part).reshape(len(part), -1)
            for parts, bias in self._layers:
                hidden = np.concatenate(
                    [hidden[:, span] @ matrix for span, matrix in parts], axis=1
                )
                hidden += bias
                np.maximum(hidden, 0, out=hidden)
            np.matmul(hidden, self._inward, out=gates[at : at + _MOST_ROWS])
        gates += self._gate_bias
        return gates

    def _spectrum(self, windows: Matrix) -> Matrix:
        """Magnitudes of four time steps, shape ``(rows, 640)`` to ``(rows * 4, 129)``."""
        hops = np.lib.stride_tricks.sliding_window_view(windows, _WINDOW, axis=1)[:, ::_HOP]
        early, middle, late = hops[..., 1:_HOP], hops[..., _HOP : _HOP + 1], hops[..., :_HOP:-1]
        even, odd = np.concatenate((early + late, middle), axis=2), early - late
        real = even.reshape(-1, _HOP) @ self._cosines
        imaginary = odd.reshape(-1, _HOP - 1) @ self._sines
        np.square(real, out=real)
        real += np.square(imaginary, out=imaginary)
        return np.sqrt(real, out=real)

    def _advance(self, gates: Matrix, recurrent: Matrix) -> Matrix:
        """One step of the LSTM cell; hidden and cell states of shape ``(2, rows, 128)``.

        Args:
            gates: what the frames add, shape ``(rows, 512)``; overwritten.
        """
        gates += recurrent[0] @ self._onward
        np.tanh(gates, out=gates)
        new = gates[:, 2 * _WIDTH : 3 * _WIDTH].copy()
        gates *= _HALF  # from here on sigmoids, which are half a tanh of half, and a half
        gates += _HALF
        keep_new, keep_old, _, shown = np.split(gates, 4, axis=1)
        after = np.empty_like(recurrent)
        np.multiply(keep_old, recurrent[1], out=after[1])
        after[1] += np.multiply(keep_new, new, out=new)
        np.multiply(shown, np.tanh(after[1], out=new), out=after[0])
        return after

    def _probabilities(self, hidden: Matrix) -> Matrix:
        """Shape ``(rows, 128)`` to ``(rows,)``."""
        # Summed row by row: a product with a vector would depend on the number of rows.
        scores: Matrix = (np.maximum(hidden, 0) * self._verdict).sum(axis=1)
        return _sigmoid(scores + self._verdict_bias)


def _framed(pcm: Audio) -> Matrix:
    """Shape ``(n,)`` to ``(frames, 512)``, the last frame padded with silence."""
    missing = -len(pcm) % FRAME
    return (np.pad(pcm, (0, missing)) if missing else pcm).reshape(-1, FRAME)


def _windows(frames: list[Matrix], first: NDArray[np.intp], states: list[VadState]) -> Matrix:
    """What the network sees of each frame: context, frame, mirrored end; shape ``(rows, 640)``.

    Args:
        first: row of each stream's first frame.
        states: of the streams; their contexts are brought up to date.
    """
    count = sum(map(len, frames))
    windows = np.empty((_padded(count), _CONTEXT + FRAME + _MIRRORED), np.float32)
    windows[count:] = 0
    end = _CONTEXT + FRAME
    np.concatenate(frames, out=windows[:count, _CONTEXT:end])
    windows[1:count, :_CONTEXT] = windows[: count - 1, FRAME:end]
    windows[first, :_CONTEXT] = [state.context for state in states]
    windows[:, end:] = windows[:, end - 2 : end - 2 - _MIRRORED : -1]
    for state, stream in zip(states, frames, strict=True):
        state.context[:] = stream[-1, -_CONTEXT:]
    return windows


def _padded(rows: int) -> int:
    return -(-rows // _ROWS) * _ROWS


def _folded(fourier: Matrix) -> tuple[Matrix, Matrix]:
    """The windowed Fourier matrix, shape ``(256, 258)``, for sums and differences of two samples.

    A cosine weighs samples ``n`` and ``256 - n`` alike, a sine with opposite signs, and the window
    leaves out sample 0: half of the products do.
    """
    cosines, sines = np.split(fourier[1 : _HOP + 1], 2, axis=1)
    return np.ascontiguousarray(cosines), np.ascontiguousarray(sines[:-1])


def _unrolled(weight: Matrix, steps: int, stride: int) -> tuple[list[tuple[slice, Matrix]], int]:
    """A convolution over few time steps as matrices, and the steps that it has.

    One matrix for each half of the results, over the span of the input that this half depends on.

    Args:
        weight: shape ``(out, in, 3)``; one step of padding at either end.
    """
    out, inward, taps = weight.shape
    after = (steps + 2 - taps) // stride + 1
    matrix = np.zeros((steps, inward, after, out), np.float32)
    for step in range(after):
        for tap in range(taps):
            source = step * stride + tap - 1
            if 0 <= source < steps:
                matrix[source, :, step] = weight[:, :, tap].T
    parts = []
    for half in np.array_split(np.arange(after), min(after, 2)):
        first, last = max(0, half[0] * stride - 1), min(steps, half[-1] * stride + 2)
        part = matrix[first:last, :, half].reshape((last - first) * inward, len(half) * out)
        parts.append((slice(first * inward, last * inward), part))
    return parts, after


def _halved(gates: Matrix) -> Matrix:
    """The sigmoids' gates by half, along the last axis, which is exact; see `_advance`."""
    halves = np.repeat(np.array([0.5, 0.5, 1, 0.5], np.float32), _WIDTH)
    return np.ascontiguousarray(gates * halves)


def _sigmoid(x: Matrix) -> Matrix:
    squashed: Matrix = np.tanh(x * _HALF) * _HALF + _HALF  # without exp's overflow
    return squashed
