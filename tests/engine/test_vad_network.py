"""The detector's network: whatever BLAS makes of its columns, frames do not notice each other."""

import numpy as np
import pytest

from engine import vad_network
from engine.onnx_weights import read_weights
from engine.products import Matrix
from engine.vad import model_file
from engine.vad_network import VadNetwork


@pytest.fixture(scope="module")
def weights() -> dict[str, Matrix]:
    return read_weights(model_file())


def gates_of(network: VadNetwork, frames: Matrix) -> Matrix:
    """Shape ``(640, n)`` to ``(512, n)``."""
    windows, mine = network.windows(frames.shape[1])
    windows[:, mine] = frames
    return network.gates(windows)[:, : frames.shape[1]]


@pytest.mark.parametrize("small_products", [False, True], ids=["as here", "small products"])
@pytest.mark.parametrize("count", [1, 2, 15, 16, 17, 240, 241, 300, 513])
def test_a_frame_adds_the_same_wherever_it_stands(
    weights: dict[str, Matrix], monkeypatch: pytest.MonkeyPatch, count: int, small_products: bool
) -> None:
    if small_products:
        monkeypatch.setattr(vad_network, "alike_within_margins", lambda matrices: False)
    network = VadNetwork(weights)
    random = np.random.default_rng(count)
    frame = random.standard_normal((640, 1), np.float32)
    frames = random.standard_normal((640, count), np.float32)
    places = sorted({0, count // 2, count - 1})
    frames[:, places] = frame

    together, alone = gates_of(network, frames), gates_of(network, frame)

    assert all(np.array_equal(together[:, place], alone[:, 0]) for place in places)
    assert count < 4 or not np.array_equal(together[:, 1], alone[:, 0])


def test_another_fourier_transform_is_refused(weights: dict[str, Matrix]) -> None:
    name = "model.stft.forward_basis_buffer"

    with pytest.raises(ValueError, match="install silero-vad 6"):
        VadNetwork(weights | {name: weights[name] * np.float32(1.01)})
