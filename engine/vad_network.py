"""Silero VAD 6 as matrix products over the frames of all streams, from its ONNX file's weights.

Samples, bins and features lie along an array's rows, frames along its columns.
Results do not depend on the batch, to the last bit; see `engine.products`.
"""

from math import prod

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from engine.products import (
    MARGIN,
    MOST_COLUMNS,
    Matrix,
    alike_within_margins,
    columns_alike,
    in_blocks,
    padded,
)

FRAME = 512
"""Samples a frame, 32 ms."""
CONTEXT = 64
"""Samples of the frame before that the network sees again."""
MIRRORED = 64
"""Samples that are mirrored at the frame's end."""
SAMPLES = CONTEXT + FRAME + MIRRORED
"""That the network sees of a frame."""
WIDTH = 128
"""Of the recurrent state: of its hidden and of its cell's part."""
_WINDOW, _HOP, _STEPS = 256, 128, 4
_QUARTER = _HOP // 2 + 1
"""Samples that are left of a window when it was folded twice."""
_EVEN, _ODD = np.r_[0, _HOP, 2:_HOP:2], np.arange(1, _HOP, 2)
_BINS = np.r_[_EVEN, _ODD]
"""In the order in which `_Spectrum` has them: the first two have no sines."""


class VadNetwork:
    """The network, without anybody's state.

    Args:
        weights: of the ONNX file, by name.

    Raises:
        ValueError: its Fourier transform is not the one that is known here.
    """

    def __init__(self, weights: dict[str, Matrix]) -> None:
        self._spectrum = _Spectrum(weights["model.stft.forward_basis_buffer"][:, 0])
        self._layers: list[_Layer] = []
        steps = _STEPS
        for layer, stride in enumerate((1, 2, 2, 1)):
            name = f"model.encoder.{layer}.reparam_conv"
            weight = weights[f"{name}.weight"]
            if layer == 0:
                weight = weight[:, _BINS]
            self._layers.append(_Layer(weight, weights[f"{name}.bias"], steps, stride))
            steps = self._layers[-1].steps
        rnn = "model.decoder.rnn"
        self._inward = _for_sigmoids(weights[f"{rnn}.weight_ih"])
        self._onward = _for_sigmoids(weights[f"{rnn}.weight_hh"])
        bias = weights[f"{rnn}.bias_ih"] + weights[f"{rnn}.bias_hh"]
        self._gate_bias = _for_sigmoids(bias[:, None])
        self._added = _room(4 * WIDTH)
        self._verdict = -weights["model.decoder.decoder.2.weight"][0]
        self._verdict_bias = -weights["model.decoder.decoder.2.bias"]
        # More would spin for work on the model's cores, and treat other columns unlike each other.
        threadpool_limits(1, user_api="blas")
        matrices = [*self._spectrum.matrices, self._inward, self._onward]
        for each in self._layers:
            matrices += each.matrices
        matrices = list({each.shape: each for each in matrices}.values())  # others go the same way
        self._columns = columns_alike(matrices)
        self._margin = MARGIN if alike_within_margins(matrices) else 0

    @property
    def products(self) -> str:
        """How this machine's BLAS lets it multiply."""
        return "large" if self._margin else f"{self._columns} columns each"

    def windows(self, frames: int) -> tuple[Matrix, slice]:
        """Room for what the network sees of so many frames.

        Returns:
            Shape ``(640, n)``, and which columns are the frames'; all others are zeros.
        """
        mine = slice(self._margin, self._margin + frames)
        windows = np.empty((SAMPLES, padded(frames + 2 * self._margin)), np.float32)
        windows[:, : mine.start] = windows[:, mine.stop :] = 0
        return windows, mine

    def gates(self, windows: Matrix) -> Matrix:
        """What each frame adds to the cell's gates.

        Args:
            windows: as `windows` gave it.

        Returns:
            Shape ``(512, n)``, the frames' columns first.
        """
        margin, most = self._margin, MOST_COLUMNS - 2 * self._margin
        gates = np.empty((4 * WIDTH, windows.shape[1] - 2 * margin), np.float32)
        for at in range(0, gates.shape[1], most):
            part = windows[:, at : at + MOST_COLUMNS]
            columns = part.shape[1] if margin else self._columns
            hidden = self._spectrum.of(part, columns)
            for layer in self._layers:
                hidden = layer.of(hidden)
            added = _of(self._added, 4 * WIDTH, part.shape[1])
            np.matmul(self._inward, hidden, out=in_blocks(added, columns))
            inner = added[:, margin : part.shape[1] - margin]
            np.add(inner, self._gate_bias, out=gates[:, at : at + most])
        return gates

    def advance(self, gates: Matrix, recurrent: Matrix) -> Matrix:
        """One step of the LSTM cell.

        Args:
            gates: what the frames add, shape ``(512, n)``.
            recurrent: of their streams hidden and cell state, shape ``(256, padded(n))``, brought
                up to date; what is beyond ``n`` loses its meaning.

        Returns:
            Speech probabilities, shape ``(n,)``.
        """
        n = gates.shape[1]
        hidden, cell = recurrent[:WIDTH], recurrent[WIDTH:]
        now = np.empty((4 * WIDTH, recurrent.shape[1]), np.float32)
        blocks = in_blocks(now, self._columns)
        np.matmul(self._onward, in_blocks(hidden, self._columns), out=blocks)
        now[:, :n] += gates
        enter, forget, new, show = _sigmoid_of_negated(now).reshape(4, WIDTH, -1)
        new += new
        new -= 1
        new *= enter
        cell *= forget
        cell += new
        shown = _sigmoid_of_negated(np.multiply(cell, np.float32(-2), out=new))
        shown += shown
        shown -= 1
        np.multiply(show, shown, out=hidden)
        weighed = np.maximum(hidden, 0, out=shown)
        weighed *= self._verdict
        speech = weighed.sum(axis=0)  # row by row, whatever the number of columns
        speech += self._verdict_bias
        return _sigmoid_of_negated(speech)[:n]


class _Spectrum:
    """Magnitudes of a windowed Fourier transform, 129 bins of four time steps.

    A cosine weighs samples ``n`` and ``256 - n`` of a window alike, a sine with opposite signs; and
    of what that leaves, ``n`` and ``128 - n`` alike in every second bin, with opposite signs in the
    others. Folded twice, a quarter of the products do. Hann's window comes in between.

    Args:
        basis: cosines and sines of the ONNX file, shape ``(258, 256)``; it must be just that.

    Raises:
        ValueError: it is not.
    """

    def __init__(self, basis: Matrix) -> None:
        n = np.arange(_WINDOW)
        hann = np.sin(n * np.pi / _WINDOW) ** 2
        angles = np.outer(np.arange(_HOP + 1), n) * (2 * np.pi / _WINDOW)
        cosines, sines = np.cos(angles), -np.sin(angles)
        if not np.allclose(np.concatenate((cosines, sines)) * hann, basis, atol=1e-6):
            raise ValueError("silero-vad's network is not one that is known; install silero-vad 6")
        share = np.ones(_QUARTER)
        share[[0, -1]] = 0.5  # their own counterparts: folding counts them twice

        def folded(waves: NDArray[np.float64], bins: NDArray[np.intp]) -> Matrix:
            return (waves[bins, :_QUARTER] * share).astype(np.float32)

        self._even_cosines, self._odd_cosines = folded(cosines, _EVEN), folded(cosines, _ODD)
        self._even_sines, self._odd_sines = folded(sines, _EVEN[2:]), folded(sines, _ODD)
        outer, inner = hann[:_QUARTER], hann[_HOP : _HOP - _QUARTER : -1]
        self._window = np.stack((outer, inner))[:, None, :, None].astype(np.float32)
        # Every pass works in the same arrays: fresh ones are fresh pages, which the kernel clears.
        self._pairs, self._both = _room(2, _STEPS, _QUARTER), _room(_STEPS, _QUARTER)
        self._real, self._imaginary = _room(_STEPS, _HOP + 1), _room(_STEPS, _HOP - 1)

    @property
    def matrices(self) -> list[Matrix]:
        """All that it multiplies with."""
        return [self._even_cosines, self._odd_cosines, self._even_sines, self._odd_sines]

    def of(self, windows: Matrix, columns: int) -> Matrix:
        """Shape ``(640, n)`` to ``(n / columns, 4 * 129, columns)``, bins as in `_BINS`.

        What it returns holds until the next.
        """
        n, even = windows.shape[1], len(_EVEN)
        pairs, both = _of(self._pairs, 2, _STEPS, _QUARTER, n), _of(self._both, _STEPS, _QUARTER, n)
        real = _of(self._real, n // columns, _STEPS, _HOP + 1, columns)
        imaginary = _of(self._imaginary, n // columns, _STEPS, _HOP - 1, columns)
        folded = in_blocks(both, columns)

        _fold(np.add, windows, pairs)
        pairs *= self._window
        np.add(pairs[0], pairs[1], out=both)
        np.matmul(self._even_cosines, folded, out=real[:, :, :even])
        np.subtract(pairs[0], pairs[1], out=both)
        np.matmul(self._odd_cosines, folded, out=real[:, :, even:])

        _fold(np.subtract, windows, pairs)
        pairs *= self._window
        np.subtract(pairs[0], pairs[1], out=both)
        np.matmul(self._even_sines, folded, out=imaginary[:, :, : even - 2])
        np.add(pairs[0], pairs[1], out=both)
        np.matmul(self._odd_sines, folded, out=imaginary[:, :, even - 2 :])

        np.square(real, out=real)
        real[:, :, 2:] += np.square(imaginary, out=imaginary)
        return np.sqrt(real, out=real).reshape(-1, _STEPS * (_HOP + 1), columns)


class _Layer:
    """A convolution over few time steps and its activation, as a matrix product for each result.

    Args:
        weight: shape ``(out, in, 3)``; one step of padding at either end.
        bias: shape ``(out,)``.
        steps: of its input.
        stride: in steps.
    """

    def __init__(self, weight: Matrix, bias: Matrix, steps: int, stride: int) -> None:
        out, inward, taps = weight.shape
        self.steps = (steps + 2 - taps) // stride + 1
        self._bias = np.tile(bias, self.steps)[:, None]
        matrix = np.ascontiguousarray(weight.transpose(0, 2, 1)).reshape(out, taps * inward)
        self._parts: list[tuple[Matrix, slice, slice]] = []
        """What makes of which rows of the input which rows of the output."""
        for step in range(self.steps):
            start = step * stride - 1
            first, last = max(0, start), min(steps, start + taps)
            self._parts.append(
                (
                    matrix[:, (first - start) * inward : (last - start) * inward],
                    slice(first * inward, last * inward),
                    slice(step * out, (step + 1) * out),
                )
            )
        self._out = _room(len(self._bias))

    @property
    def matrices(self) -> list[Matrix]:
        """All that it multiplies with."""
        return [matrix for matrix, _, _ in self._parts]

    def of(self, hidden: Matrix) -> Matrix:
        """``(blocks, steps * in, columns)`` to ``(blocks, self.steps * out, columns)``.

        What it returns holds until the next.
        """
        blocks, _, columns = hidden.shape
        out = _of(self._out, blocks, len(self._bias), columns)
        for matrix, source, target in self._parts:
            np.matmul(matrix, hidden[:, source], out=out[:, target])
        out += self._bias
        return np.maximum(out, 0, out=out)


def _fold(fold: np.ufunc, windows: Matrix, pairs: Matrix) -> None:
    """Folds windows once: of each samples 0 … 64 with 256 … 192, and 128 … 64 with 128 … 192.

    Args:
        fold: to add or to subtract.
        windows: shape ``(640, n)``.
        pairs: shape ``(2, 4, 65, n)``, for the results.
    """
    early = windows[: _STEPS * _HOP].reshape(_STEPS, _HOP, -1)
    late = windows[_HOP:].reshape(_STEPS, _HOP, -1)
    half = _HOP // 2
    pairs[0, :, 0] = 0  # the window leaves out sample 0, and 256 is not there
    fold(early[:, 1:_QUARTER], late[:, : half - 1 : -1], out=pairs[0, :, 1:])
    fold(late[:, 0], late[:, 0], out=pairs[1, :, 0])
    fold(early[:, : half - 1 : -1], late[:, 1:_QUARTER], out=pairs[1, :, 1:])


def _room(*rows: int) -> Matrix:
    return np.empty(prod(rows) * MOST_COLUMNS, np.float32)


def _of(room: Matrix, *shape: int) -> Matrix:
    return room[: prod(shape)].reshape(shape)


def _for_sigmoids(gates: Matrix) -> Matrix:
    """Negated for `_sigmoid_of_negated`; the new value's by two, whose tanh is made of a sigmoid.

    Args:
        gates: shape ``(512, n)``: of entering, forgetting, the new value and showing.
    """
    factors = np.repeat(np.array([-1, -1, -2, -1], np.float32), WIDTH)
    return gates * factors[:, None]


def _sigmoid_of_negated(x: Matrix) -> Matrix:
    """In place; numpy's exp takes half as long as its tanh."""
    with np.errstate(over="ignore"):  # the sigmoid is then 0
        np.exp(x, out=x)
    x += 1
    return np.divide(np.float32(1), x, out=x)
