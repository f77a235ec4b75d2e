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

_IR, _OPERATORS = 8, 17
"""Versions of the format and of the operators."""
_IR_VERSION, _OPSETS, _OPSET_VERSION = 1, 8, 2  # of ModelProto, of OperatorSetIdProto
_NODE, _GRAPH_NAME, _INPUT, _OUTPUT = 1, 2, 11, 12  # of GraphProto
_TAKES, _GIVES, _OPERATOR, _ATTRIBUTE = 1, 2, 4, 5  # of NodeProto
_ATTRIBUTE_NAME, _INTEGER, _KIND, _OF_INTEGER = 1, 3, 20, 2  # of AttributeProto, and a kind
_INT64 = 7  # of a tensor's data types


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
        graph = [_bytes(_NODE, node) for node in self._nodes]
        graph.append(_bytes(_GRAPH_NAME, b"graph"))
        graph += [_bytes(INITIALIZER, each) for each in self._constants]
        graph += [_bytes(_INPUT, _table(name, columns)) for name, columns in inputs.items()]
        graph += [_bytes(_OUTPUT, _table(name, columns)) for name, columns in outputs.items()]
        versions = _number(_IR_VERSION, _IR) + _bytes(_OPSETS, _number(_OPSET_VERSION, _OPERATORS))
        return versions + _bytes(GRAPH, b"".join(graph))

    def _add(
        self, operator: str, inputs: tuple[str, ...], outputs: list[str], attributes: dict[str, int]
    ) -> list[str]:
        node = [_bytes(_TAKES, name.encode()) for name in inputs]
        node += [_bytes(_GIVES, name.encode()) for name in outputs]
        node.append(_bytes(_OPERATOR, operator.encode()))
        for name, value in attributes.items():
            number = _number(_INTEGER, value) + _number(_KIND, _OF_INTEGER)
            node.append(_bytes(_ATTRIBUTE, _bytes(_ATTRIBUTE_NAME, name.encode()) + number))
        self._nodes.append(b"".join(node))
        return outputs

    def _name(self) -> str:
        self._named += 1
        return f"t{self._named}"


def _table(name: str, columns: int) -> bytes:
    """A ValueInfoProto (name 1, type 2): a tensor (1) of a type (1) and shape (2), each of whose
    dimensions (1) has a value (1) or a name (2); float32, shape ``(rows, columns)``."""
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
