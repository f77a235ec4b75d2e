"""The detector's network: whatever BLAS makes of its columns, frames do not notice each other."""

import os
import platform
import subprocess
import sys

import numpy as np
import pytest

from engine import vad_network
from engine.onnx_weights import read_weights
from engine.products import Matrix, padded
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


@pytest.fixture(params=["as here", "small products"])
def network(
    weights: dict[str, Matrix], monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> VadNetwork:
    if request.param == "small products":
        monkeypatch.setattr(vad_network, "alike_within_margins", lambda matrices: False)
    return VadNetwork(weights)


@pytest.mark.parametrize("count", [1, 2, 15, 16, 17, 80, 112, 150, 176, 224, 240, 241, 300, 513])
def test_a_frame_adds_the_same_wherever_it_stands(network: VadNetwork, count: int) -> None:
    random = np.random.default_rng(count)
    frame = random.standard_normal((640, 1), np.float32)
    frames = random.standard_normal((640, count), np.float32)
    places = sorted({0, count // 2, min(239, count - 1), count - 1})
    frames[:, places] = frame

    together, alone = gates_of(network, frames), gates_of(network, frame)

    assert all(np.array_equal(together[:, place], alone[:, 0]) for place in places)
    assert count < 4 or not np.array_equal(together[:, 1], alone[:, 0])


@pytest.mark.parametrize("count", [1, 16, 17, 40, 75, 224])
def test_a_stream_goes_on_alike_wherever_it_stands(network: VadNetwork, count: int) -> None:
    random = np.random.default_rng(count)

    def after(gates: Matrix, kept: Matrix) -> tuple[Matrix, Matrix]:
        recurrent = np.zeros((256, padded(gates.shape[1])), np.float32)
        recurrent[:, : gates.shape[1]] = kept
        return network.advance(gates, recurrent), recurrent[:, : gates.shape[1]]

    gates = random.standard_normal((512, count), np.float32)
    kept = random.standard_normal((256, count), np.float32)
    places = sorted({0, count // 2, count - 1})
    gates[:, places], kept[:, places] = gates[:, :1], kept[:, :1]

    together, alone = after(gates, kept), after(gates[:, :1], kept[:, :1])

    for place in places:
        assert together[0][place] == alone[0][0]
        assert np.array_equal(together[1][:, place], alone[1][:, 0])


def test_what_overflows_is_said_to_be_no_speech_or_speech(network: VadNetwork) -> None:
    gates = np.full((512, 2), 1e4, np.float32)
    gates[:, 1] = -1e4

    closed, opened = network.advance(gates, np.zeros((256, 16), np.float32))

    assert 0 < closed < 1
    assert 0 < opened < 1


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the kernels are x86's")
def test_openblas_kernels_for_avx2_need_margins_and_no_more() -> None:
    """Whatever this machine's are."""
    ask = (
        "from engine.vad_network import VadNetwork; from engine.onnx_weights import read_weights;"
        "from engine.vad import model_file; print(VadNetwork(read_weights(model_file())).products)"
    )
    told = subprocess.run(
        [sys.executable, "-c", ask], env=os.environ | {"OPENBLAS_CORETYPE": "Haswell"},
        capture_output=True, text=True, check=True,
    )  # fmt: skip

    assert told.stdout == "large\n"


def test_another_fourier_transform_is_refused(weights: dict[str, Matrix]) -> None:
    name = "model.stft.forward_basis_buffer"

    with pytest.raises(ValueError, match="install silero-vad 6"):
        VadNetwork(weights | {name: weights[name] * np.float32(1.01)})
