"""Batched voice activity detection: Silero VAD 6 in numpy, state per stream.

The package's own wrapper keeps the recurrent state inside the shared model; here state goes in and
comes out, so streams share a batch. On onnxruntime its network takes 54 µs of a core for a frame,
whatever the batch: it convolves the four time steps of each stream alone. As a few matrix products
over all frames of all streams it takes 16 to 18 µs from 64 streams on, of which 10 are what the
processor needs to multiply, and a gateway with hundreds of sessions needs that (with one stream it
takes more, but nothing is scarce then; both in one run of ``python -m tests.measure_vad``). To hear
only every second frame amid sure speech was tried: a third fewer frames, and segments that end
elsewhere or not at all, as the network's memory expects all of them. The weights are those
of the package's ONNX file, and the tests hold the results against that file's own.

Results do not depend on the batch, to the last bit: matrix products have a multiple of `_ROWS`
rows, for which BLAS adds up each row in the same order wherever it stands.
"""

import importlib.util
from pathlib import Path
from typing import cast

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from engine.messages import S16, Pcm
from engine.onnx_weights import read_weights

FRAME = 512
"""Samples a frame, 32 ms."""
_CONTEXT = 64
"""Samples of the frame before that the network sees again."""
_MIRRORED = 64
"""Samples that are mirrored at the frame's end."""
_WINDOW, _HOP, _STEPS = 256, 128, 4
_SAMPLES = _CONTEXT + FRAME + _MIRRORED
"""That the network sees of a frame."""
_WIDTH = 128
"""Of the recurrent state: of its hidden and of its cell's part."""
_STATE = 2 * _WIDTH + _CONTEXT
_HALF, _WHOLE = np.float32(0.5), np.float32(1)
_ROWS = 16
_MOST_ROWS = 256
"""Rows worked on together: what does not fit into the cache is slower."""

_LARGEST = 1e4
"""Beyond what a cell's state comes to, and far from what would overflow."""

Matrix = NDArray[np.float32]


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
        threadpool_limits(1, user_api="blas")  # more would spin for work on the model's cores
        weights = read_weights(model_file())
        self._cosines, self._sines = _folded(weights["model.stft.forward_basis_buffer"][:, 0].T)
        self._layers: list[_Layer] = []
        steps = _STEPS
        for layer, stride in enumerate((1, 2, 2, 1)):
            name = f"model.encoder.{layer}.reparam_conv"
            self._layers.append(
                _Layer(weights[f"{name}.weight"], weights[f"{name}.bias"], steps, stride)
            )
            steps = self._layers[-1].steps
        rnn = "model.decoder.rnn"
        self._inward = _halved(weights[f"{rnn}.weight_ih"].T)
        self._onward = _halved(weights[f"{rnn}.weight_hh"].T)
        self._gate_bias = _halved(weights[f"{rnn}.bias_ih"] + weights[f"{rnn}.bias_hh"])
        self._verdict = weights["model.decoder.decoder.2.weight"][0, :, 0]
        self._verdict_bias = weights["model.decoder.decoder.2.bias"][0]
        # Every pass works in the same arrays: fresh ones are fresh pages, which the kernel clears.
        self._backwards = np.empty((_MOST_ROWS, _SAMPLES), np.float32)
        self._even = np.empty((_MOST_ROWS, _STEPS, _HOP), np.float32)
        self._odd = np.empty((_MOST_ROWS, _STEPS, _HOP - 1), np.float32)
        self._real = np.empty((_MOST_ROWS * _STEPS, _HOP + 1), np.float32)
        self._imaginary = np.empty_like(self._real)

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
        known = np.concatenate([states[i].numbers for i in order]).reshape(-1, _STATE)
        gates = self._gates(_windows(frames, first, counts, known[:, 2 * _WIDTH :]))
        recurrent = np.zeros((2, _padded(len(order)), _WIDTH), np.float32)
        cells = known[:, : 2 * _WIDTH].reshape(-1, 2, _WIDTH).swapaxes(0, 1)
        recurrent[:, : len(order)] = cells
        heard = np.empty(len(gates), np.float32)
        for turn in range(counts[0]):
            rows = first[: np.count_nonzero(counts > turn)] + turn
            heard[rows] = self._advance(gates[rows], recurrent)
        cells[:] = recurrent[:, : len(order)]
        said, starts = heard.tolist(), first.tolist()
        probabilities: list[list[float]] = [[]] * len(order)
        for row, i in enumerate(order):
            states[i].numbers[:] = known[row]
            probabilities[i] = said[starts[row] : starts[row] + len(frames[row])]
        return probabilities

    def _gates(self, windows: Matrix) -> Matrix:
        """What each frame adds to the cell's gates; shape ``(rows, 640)`` to ``(rows, 512)``."""
        gates = np.empty((len(windows), 4 * _WIDTH), np.float32)
        for at in range(0, len(windows), _MOST_ROWS):
            part = windows[at : at + _MOST_ROWS]
            hidden = self._spectrum(part).reshape(len(part), -1)
            for layer in self._layers:
                hidden = layer.of(hidden)
            np.matmul(hidden, self._inward, out=gates[at : at + _MOST_ROWS])
        gates += self._gate_bias
        return gates

    def _spectrum(self, windows: Matrix) -> Matrix:
        """Magnitudes of four time steps, shape ``(rows, 640)`` to ``(rows * 4, 129)``."""
        rows, hops = len(windows), len(windows) * _STEPS
        backwards = self._backwards[:rows]
        backwards[:] = windows[:, ::-1]  # once, and not in each sum: that way adding is slow
        half = _HOP - 1
        early = sliding_window_view(windows, half, axis=1)[:, 1 : 1 + _SAMPLES - _WINDOW + 1 : _HOP]
        late = sliding_window_view(backwards, half, axis=1)[:, _SAMPLES - _WINDOW :: -_HOP]
        even, odd = self._even[:rows], self._odd[:rows]
        np.add(early, late, out=even[..., :-1])
        even[..., -1] = windows[:, _HOP : _SAMPLES - _HOP + 1 : _HOP]
        np.subtract(early, late, out=odd)
        real, imaginary = self._real[:hops], self._imaginary[:hops]
        np.matmul(even.reshape(hops, -1), self._cosines, out=real)
        np.matmul(odd.reshape(hops, -1), self._sines, out=imaginary)
        np.square(real, out=real)
        real += np.square(imaginary, out=imaginary)
        return np.sqrt(real, out=real)

    def _advance(self, gates: Matrix, recurrent: Matrix) -> Matrix:
        """One step of the LSTM cell.

        Args:
            gates: what the frames add, shape ``(n, 512)``; overwritten.
            recurrent: hidden and cell states, shape ``(2, rows, 128)``; the first ``n`` rows are
                brought up to date.

        Returns:
            Their speech probabilities, shape ``(n,)``.
        """
        n = len(gates)
        hidden, cell = recurrent[0, :n], recurrent[1, :n]
        gates += (recurrent[0, : _padded(n)] @ self._onward)[:n]
        np.tanh(gates, out=gates)
        new = gates[:, 2 * _WIDTH : 3 * _WIDTH].copy()
        gates *= _HALF  # from here on sigmoids, which are half a tanh of half, and a half
        gates += _HALF
        cell *= gates[:, _WIDTH : 2 * _WIDTH]
        new *= gates[:, :_WIDTH]
        cell += new
        np.multiply(gates[:, 3 * _WIDTH :], np.tanh(cell, out=new), out=hidden)
        # Summed row by row: a product with a vector would depend on the number of rows.
        scores = (np.maximum(hidden, 0, out=new) * self._verdict).sum(axis=1)
        return _sigmoid(scores + self._verdict_bias)


class _Layer:
    """A convolution over few time steps and its activation, as a matrix for each of its results.

    Args:
        weight: shape ``(out, in, 3)``; one step of padding at either end.
        bias: shape ``(out,)``.
        steps: of its input.
    """

    def __init__(self, weight: Matrix, bias: Matrix, steps: int, stride: int) -> None:
        out, inward, taps = weight.shape
        self.steps = (steps + 2 - taps) // stride + 1
        self._bias = np.tile(bias, self.steps)
        self._parts: list[tuple[slice, Matrix, slice]] = []
        """What part of the input makes what part of the output."""
        for step in range(self.steps):
            start = step * stride - 1
            first, last = max(0, start), min(steps, start + taps)
            taken = weight[:, :, first - start : last - start].transpose(2, 1, 0)
            matrix = np.ascontiguousarray(taken.reshape((last - first) * inward, out))
            self._parts.append(
                (
                    slice(first * inward, last * inward),
                    matrix,
                    slice(step * out, (step + 1) * out),
                )
            )
        self._out = np.empty((_MOST_ROWS, self.steps * out), np.float32)

    def of(self, hidden: Matrix) -> Matrix:
        """Shape ``(rows, steps * in)`` to ``(rows, self.steps * out)``; holds until the next."""
        out = self._out[: len(hidden)]
        for source, matrix, target in self._parts:
            np.matmul(hidden[:, source], matrix, out=out[:, target])
        out += self._bias
        return np.maximum(out, 0, out=out)


def _framed(pcm: Pcm) -> Pcm:
    """Shape ``(n,)`` to ``(frames, 512)``, the last frame padded with silence."""
    missing = -len(pcm) % FRAME
    whole = cast(Pcm, np.pad(pcm, (0, missing))) if missing else pcm
    return whole.reshape(-1, FRAME)


def _windows(
    frames: list[Pcm], first: NDArray[np.intp], counts: NDArray[np.intp], contexts: Matrix
) -> Matrix:
    """What the network sees of each frame: context, frame, mirrored end; shape ``(rows, 640)``.

    Args:
        first: row of each stream's first frame.
        counts: how many it has.
        contexts: of the streams, shape ``(n, 64)``; brought up to date.
    """
    last = first + counts - 1
    count = last[-1] + 1
    windows = np.empty((_padded(count), _SAMPLES), np.float32)
    windows[count:] = 0
    end = _CONTEXT + FRAME
    heard = windows[:count, _CONTEXT:end]
    np.concatenate(frames, out=heard)
    units = [S16 if stream.dtype == np.int16 else _WHOLE for stream in frames]
    heard *= np.repeat(units, counts)[:, None]
    windows[1:count, :_CONTEXT] = windows[: count - 1, FRAME:end]
    windows[first, :_CONTEXT] = contexts
    windows[:, end:] = windows[:, end - 2 : end - 2 - _MIRRORED : -1]
    contexts[:] = heard[last, -_CONTEXT:]
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


def _halved(gates: Matrix) -> Matrix:
    """The sigmoids' gates by half, along the last axis, which is exact; see `_advance`."""
    halves = np.repeat(np.array([0.5, 0.5, 1, 0.5], np.float32), _WIDTH)
    return np.ascontiguousarray(gates * halves)


def _sigmoid(x: Matrix) -> Matrix:
    squashed: Matrix = np.tanh(x * _HALF) * _HALF + _HALF  # without exp's overflow
    return squashed
