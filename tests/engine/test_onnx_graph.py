"""What is written is what onnxruntime runs, and what the reader of weights reads."""

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from engine.onnx_graph import Graph
from engine.onnx_weights import read_weights
from engine.vad_network import Matrix

matrices = arrays.arrays(
    np.float32,
    arrays.array_shapes(min_dims=1, max_dims=4, max_side=20),
    elements=st.floats(-9, 9, width=32),
)


@given(st.lists(matrices, max_size=3))
def test_constants_are_read_as_they_were_written(
    tmp_path_factory: pytest.TempPathFactory, constants: list[Matrix]
) -> None:
    graph = Graph()
    names = [graph.constant(each) for each in constants]
    file = tmp_path_factory.mktemp("onnx") / "model.onnx"
    file.write_bytes(graph.encode({}, {}))

    found = read_weights(file)

    assert list(found) == names
    for name, written in zip(names, constants, strict=True):
        assert found[name].shape == written.shape
        assert np.array_equal(found[name], written)


def test_a_graph_runs_for_any_number_of_rows() -> None:
    graph = Graph()
    left, right = graph.split("pairs", 2, 3, axis=1)
    doubled = graph.add("MatMul", left, graph.constant(2 * np.eye(2)))
    middle = graph.slice(right, 1, 3, axis=1)
    graph.add("Concat", doubled, middle, output="joined", axis=1)
    session = onnxruntime.InferenceSession(graph.encode({"pairs": 5}, {"joined": 4}))

    for rows in (1, 200):
        pairs = np.arange(rows * 5, dtype=np.float32).reshape(rows, 5)
        [joined] = session.run(None, {"pairs": pairs})
        assert np.array_equal(joined, np.hstack((2 * pairs[:, :2], pairs[:, 3:])))


def test_a_constant_may_be_stored_in_any_order_of_memory(tmp_path: Path) -> None:
    graph, values = Graph(), np.arange(6, dtype=np.float32).reshape(2, 3).T
    name = graph.constant(values)
    file = tmp_path / "model.onnx"
    file.write_bytes(graph.encode({}, {}))

    assert np.array_equal(read_weights(file)[name], values)
