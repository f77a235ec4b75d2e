"""Silero VAD 6 as two graphs over the frames of all streams, from its ONNX file's weights.

The package's own graph takes each stream's four time steps alone through convolutions that its
runtime has no fast way for. Here everything is a matrix product over all frames: rows are frames,
weights are laid out once, and onnxruntime's kernels for x86 add up each row in the same order
however many there are, so that results do not depend on the batch, to the last bit.
"""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from engine.onnx_graph import Graph

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

Matrix = NDArray[np.float32]

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
_BINS = [np.arange(0, _HOP + 1, 4), np.arange(2, _HOP, 4), np.arange(1, _HOP, 2)]
"""Of the spectrum, as `_spectrum` makes them."""
_GATES = np.r_[: 2 * WIDTH, 3 * WIDTH : 4 * WIDTH, 2 * WIDTH : 3 * WIDTH]
"""Of the cell, those with a sigmoid first: entering, forgetting, showing; and the new value."""
_MOST_FRAMES = 128
"""Worked on together: what does not fit into the cache is slower."""


class VadNetwork:
    """The network, without anybody's state.

    Args:
        weights: of the ONNX file, by name.

    Raises:
        ValueError: its Fourier transform is not the one that is known here.
    """

    def __init__(self, weights: dict[str, Matrix]) -> None:
        self._gates = _session(_gates_graph(weights))
        self._cell = _session(_cell_graph(weights))

    def gates(self, windows: Matrix) -> Matrix:
        """What each frame adds to the cell's gates.

        Args:
            windows: what the network sees of each, shape ``(n, 640)``.

        Returns:
            Shape ``(n, 512)``.
        """
        parts = [
            self._gates.run(None, {"windows": windows[at : at + _MOST_FRAMES]})[0]
            for at in range(0, len(windows), _MOST_FRAMES)
        ]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def advance(self, gates: Matrix, recurrent: Matrix) -> tuple[Matrix, Matrix]:
        """One step of the LSTM cell.

        Args:
            gates: what the frames add, shape ``(n, 512)``.
            recurrent: of their streams hidden and cell state, shape ``(n, 256)``.

        Returns:
            Speech probabilities, shape ``(n, 1)``, and the states afterwards.
        """
        speech, after = self._cell.run(None, {"gates": gates, "recurrent": recurrent})
        return speech, after


def _session(model: bytes) -> "InferenceSession":
    import onnxruntime  # clients too import this module, and load no network

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.enable_mem_pattern = False  # one would be kept for each number of frames
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def _gates_graph(weights: dict[str, Matrix]) -> bytes:
    graph, steps = Graph(), _STEPS
    hidden = _spectrum(graph, weights["model.stft.forward_basis_buffer"][:, 0])
    for layer, stride in enumerate((1, 2, 2, 1)):
        name = f"model.encoder.{layer}.reparam_conv"
        weight, bias = weights[f"{name}.weight"], weights[f"{name}.bias"]
        if layer == 0:
            weight = weight[:, np.concatenate(_BINS)]
        hidden, steps = _layer(graph, hidden, weight, bias, steps, stride)
    rnn = "model.decoder.rnn"
    inward = graph.constant(weights[f"{rnn}.weight_ih"][_GATES].T)
    bias = (weights[f"{rnn}.bias_ih"] + weights[f"{rnn}.bias_hh"])[_GATES]
    graph.add("Gemm", hidden, inward, graph.constant(bias), output="gates")
    return graph.encode({"windows": SAMPLES}, {"gates": 4 * WIDTH})


def _cell_graph(weights: dict[str, Matrix]) -> bytes:
    graph = Graph()
    onward = graph.constant(weights["model.decoder.rnn.weight_hh"][_GATES].T)
    hidden, cell = graph.split("recurrent", WIDTH, WIDTH, axis=1)
    sums = graph.add("Add", "gates", graph.add("MatMul", hidden, onward))
    sigmoids, new = graph.split(sums, 3 * WIDTH, WIDTH, axis=1)
    enter, forget, show = graph.split(graph.add("Sigmoid", sigmoids), WIDTH, WIDTH, WIDTH, axis=1)
    entered = graph.add("Mul", enter, graph.add("Tanh", new))
    cell = graph.add("Add", graph.add("Mul", forget, cell), entered)
    hidden = graph.add("Mul", show, graph.add("Tanh", cell))
    graph.add("Concat", hidden, cell, output="after", axis=1)
    verdict = graph.constant(weights["model.decoder.decoder.2.weight"][0])
    bias = graph.constant(weights["model.decoder.decoder.2.bias"])
    sums = graph.add("Gemm", graph.add("Relu", hidden), verdict, bias)
    graph.add("Sigmoid", sums, output="speech")
    widths = {"gates": 4 * WIDTH, "recurrent": 2 * WIDTH}
    return graph.encode(widths, {"speech": 1, "after": 2 * WIDTH})


def _spectrum(graph: Graph, basis: Matrix) -> str:
    """Magnitudes of a windowed Fourier transform, in the order of `_BINS`; shape ``(n, 4 * 129)``.

    Samples ``n`` and ``n + 128`` of a window go into every second bin with the same sign, into the
    others with opposite ones; of the former, ``n`` and ``n + 64`` likewise. Added up beforehand,
    three eighths of the products do.

    Args:
        graph: whose input ``windows`` is meant.
        basis: cosines and sines of the ONNX file, shape ``(258, 256)``; it must be just that.

    Raises:
        ValueError: it is not.
    """
    n = np.arange(_WINDOW)
    hann = np.sin(n * np.pi / _WINDOW) ** 2
    if not np.allclose(_waves(np.arange(_HOP + 1), _WINDOW).T * hann, basis, atol=1e-6):
        raise ValueError("silero-vad's network is not one that is known; install silero-vad 6")

    hops = graph.add("Reshape", "windows", graph.constant(np.array([0, _STEPS + 1, _HOP])))
    early, late = (
        graph.add(
            "Mul",
            graph.slice(hops, half, half + _STEPS, axis=1),
            graph.constant(hann[half * _HOP : (half + 1) * _HOP].astype(np.float32)),
        )
        for half in (0, 1)
    )
    even, odd = graph.add("Add", early, late), graph.add("Sub", early, late)
    early, late = graph.split(even, _HOP // 2, _HOP // 2, axis=2)
    folded = [graph.add("Add", early, late), graph.add("Sub", early, late), odd]
    powers = []
    for source, bins, samples in zip(folded, _BINS, (_HOP // 2, _HOP // 2, _HOP), strict=True):
        waves = graph.constant(_waves(bins, samples).astype(np.float32))
        parts = graph.add("MatMul", source, waves)
        squares = graph.split(graph.add("Mul", parts, parts), len(bins), len(bins), axis=2)
        powers.append(graph.add("Add", *squares))
    magnitudes = graph.add("Sqrt", graph.add("Concat", *powers, axis=2))
    flat = graph.constant(np.array([0, _STEPS * (_HOP + 1)]))
    return graph.add("Reshape", magnitudes, flat)


def _waves(bins: NDArray[np.intp], samples: int) -> NDArray[np.float64]:
    """Cosines and negated sines of ``bins``, shape ``(samples, 2 * bins)``."""
    angles = np.outer(np.arange(samples), bins) * (2 * np.pi / _WINDOW)
    return np.hstack((np.cos(angles), -np.sin(angles)))


def _layer(
    graph: Graph, hidden: str, weight: Matrix, bias: Matrix, steps: int, stride: int
) -> tuple[str, int]:
    """A convolution over few time steps and its activation, as a product for each step.

    Args:
        hidden: shape ``(n, steps * in)``.
        weight: shape ``(out, in, 3)``; one step of padding at either end.
        bias: shape ``(out,)``.
        stride: in steps.

    Returns:
        Shape ``(n, steps * out)``, and how many steps there are now.
    """
    out, inward, taps = weight.shape
    matrix, added = weight.transpose(2, 1, 0).reshape(taps * inward, out), graph.constant(bias)
    results = []
    for start in range(-1, steps + 2 - taps, stride):
        first, last = max(0, start), min(steps, start + taps)
        seen = matrix[(first - start) * inward : (last - start) * inward]
        part = graph.slice(hidden, first * inward, last * inward, axis=1)
        sums = graph.add("Gemm", part, graph.constant(seen), added)
        results.append(graph.add("Relu", sums))
    return graph.add("Concat", *results, axis=1), len(results)
