"""Graphs of ONNX operators, written for onnxruntime without the package onnx.

In protobuf's wire format, as `engine.onnx_weights` reads it; field numbers and types are those of
onnx.proto (github.com/onnx/onnx).
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.onnx_weights import (
    DATA_TYPE,
    DIMS,
    FLOAT,
    GRAPH,
    INITIALIZER,
    NAME,
    RAW_DATA,
)

_IR_VERSION, _OPSET = 8, 17
_INT64 = 7
_INT_ATTRIBUTE = 2


class Graph:
    """Operators in the order in which they are added; results and constants go by their names."""

    def __init__(self) -> None:
        self._nodes: list[bytes] = []
        self._constants: list[bytes] = []
        self._named = 0

    def constant(self, values: NDArray[Any]) -> str:
        """Numbers that every run has; of integers and of floats, 64 and 32 bits are kept."""
        floats = values.dtype.kind == "f"
        raw = np.ascontiguousarray(values, "<f4" if floats else "<i8")
        name = self._name()
        self._constants.append(
            b"".join(_number(DIMS, size) for size in raw.shape)
            + _number(DATA_TYPE, FLOAT if floats else _INT64)
            + _bytes(NAME, name.encode())
            + _bytes(RAW_DATA, raw.tobytes())
        )
        return name

    def add(self, operator: str, *inputs: str, output: str = "", **attributes: int) -> str:
        """An operator with one result, of whose name it is told: ``output``, or a new one."""
        return self._add(operator, inputs, [output or self._name()], attributes)[0]

    def slice(self, of: str, start: int, stop: int, axis: int) -> str:
        """A part of a tensor."""
        bounds = (self.constant(np.array([each])) for each in (start, stop, axis))
        return self.add("Slice", of, *bounds)

    def split(self, of: str, *sizes: int, axis: int) -> list[str]:
        """A tensor in parts, which together are the whole."""
        names = [self._name() for _ in sizes]
        return self._add("Split", (of, self.constant(np.array(sizes))), names, {"axis": axis})

    def encode(self, inputs: Mapping[str, int], outputs: Mapping[str, int]) -> bytes:
        """The model.

        Args:
            inputs: names, and how many columns each has; all float32, with any number of rows.
            outputs: likewise.
        """
        graph = [_bytes(1, node) for node in self._nodes]
        graph.append(_bytes(2, b"graph"))
        graph += [_bytes(INITIALIZER, each) for each in self._constants]
        graph += [_bytes(11, _table(name, columns)) for name, columns in inputs.items()]
        graph += [_bytes(12, _table(name, columns)) for name, columns in outputs.items()]
        return (
            _number(1, _IR_VERSION) + _bytes(8, _number(2, _OPSET)) + _bytes(GRAPH, b"".join(graph))
        )

    def _add(
        self, operator: str, inputs: tuple[str, ...], outputs: list[str], attributes: dict[str, int]
    ) -> list[str]:
        node = [_bytes(1, name.encode()) for name in inputs]
        node += [_bytes(2, name.encode()) for name in outputs]
        node.append(_bytes(4, operator.encode()))
        for name, value in attributes.items():
            attribute = _bytes(1, name.encode()) + _number(3, value) + _number(20, _INT_ATTRIBUTE)
            node.append(_bytes(5, attribute))
        self._nodes.append(b"".join(node))
        return outputs

    def _name(self) -> str:
        self._named += 1
        return f"t{self._named}"


def _table(name: str, columns: int) -> bytes:
    """A ValueInfoProto: float32, shape ``(rows, columns)``."""
    shape = _bytes(1, _bytes(2, b"rows")) + _bytes(1, _number(1, columns))
    return _bytes(1, name.encode()) + _bytes(2, _bytes(1, _number(1, FLOAT) + _bytes(2, shape)))


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _bytes(field: int, value: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(value)) + value


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)
