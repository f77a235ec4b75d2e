"""The detector's network: frames do not notice each other, however many there are."""

import numpy as np
import pytest

from engine.onnx_weights import read_weights
from engine.vad import model_file
from engine.vad_network import Matrix, VadNetwork


@pytest.fixture(scope="module")
def weights() -> dict[str, Matrix]:
    return read_weights(model_file())


@pytest.fixture(scope="module")
def network(weights: dict[str, Matrix]) -> VadNetwork:
    return VadNetwork(weights)


@pytest.mark.parametrize("count", [1, 2, 3, 5, 8, 13, 16, 17, 80, 127, 128, 129, 240, 300, 513])
def test_a_frame_adds_the_same_wherever_it_stands(network: VadNetwork, count: int) -> None:
    random = np.random.default_rng(count)
    frame = random.standard_normal(640, np.float32)
    frames = random.standard_normal((count, 640), np.float32)
    places = [place for place in (0, 5, 127, 128, 255, 256, count - 1) if place < count]
    frames[places] = frame

    together, [alone] = network.gates(frames), network.gates(frame[None])

    assert together.shape == (count, 512)
    assert all(np.array_equal(together[place], alone) for place in places)
    assert count < 3 or not np.array_equal(together[1], alone)


@pytest.mark.parametrize("count", [1, 2, 3, 5, 16, 17, 40, 75, 224])
def test_a_stream_goes_on_alike_wherever_it_stands(network: VadNetwork, count: int) -> None:
    random = np.random.default_rng(count)
    gates = random.standard_normal((count, 512), np.float32)
    before = random.standard_normal((count, 256), np.float32)
    places = sorted({0, count // 2, count - 1})
    gates[places], before[places] = gates[0], before[0]

    speech, after = network.advance(gates, before)
    [alone], [alone_after] = network.advance(gates[:1], before[:1])

    assert (speech.shape, after.shape) == ((count, 1), (count, 256))
    for place in places:
        assert speech[place] == alone
        assert np.array_equal(after[place], alone_after)


def test_what_overflows_is_said_to_be_no_speech_or_speech(network: VadNetwork) -> None:
    gates = np.full((2, 512), 1e4, np.float32)
    gates[1] = -1e4

    speech, after = network.advance(gates, np.zeros((2, 256), np.float32))

    assert ((speech > 0) & (speech < 1)).all()
    assert np.isfinite(after).all()


def test_another_fourier_transform_is_refused(weights: dict[str, Matrix]) -> None:
    name = "model.stft.forward_basis_buffer"

    with pytest.raises(ValueError, match="install silero-vad 6"):
        VadNetwork(weights | {name: weights[name] * np.float32(1.01)})
