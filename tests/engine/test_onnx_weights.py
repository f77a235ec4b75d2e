"""Reading weights from an ONNX file: the shipped one, damaged ones, and what is none."""

import contextlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.onnx_weights import read_weights
from engine.vad import model_file


def test_the_detectors_weights_are_read_with_names_and_shapes() -> None:
    weights = read_weights(model_file())

    assert weights["model.stft.forward_basis_buffer"].shape == (258, 1, 256)
    assert weights["model.decoder.rnn.weight_hh"].shape == (512, 128)
    assert sum(each.nbytes for each in weights.values()) == pytest.approx(1.24e6, rel=0.01)


@given(data=st.binary(max_size=200))
def test_what_is_no_onnx_file_gives_nothing_or_is_refused(
    tmp_path_factory: pytest.TempPathFactory, data: bytes
) -> None:
    file = tmp_path_factory.mktemp("onnx") / "model.onnx"
    file.write_bytes(data)
    with contextlib.suppress(ValueError):
        assert read_weights(file) == {}


def test_a_file_that_was_cut_off_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "model.onnx"
    file.write_bytes(model_file().read_bytes()[:1_000_000])
    with pytest.raises(ValueError, match="no ONNX file"):
        read_weights(file)
