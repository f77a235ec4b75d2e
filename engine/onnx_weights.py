"""The weights inside an ONNX file, read without onnx or onnxruntime.

Of protobuf's wire format (protobuf.dev/programming-guides/encoding) only what is needed: fields are
a varint of number and kind, then a varint (kind 0), eight bytes (1), a length and as many bytes
(2), or four bytes (5). Field numbers are those of onnx.proto (github.com/onnx/onnx).
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

GRAPH, INITIALIZER = 7, 5  # of ModelProto, of GraphProto
DIMS, DATA_TYPE, NAME, RAW_DATA = 1, 2, 8, 9  # of TensorProto
FLOAT = 1


def read_weights(file: Path) -> dict[str, NDArray[np.float32]]:
    """The float32 initializers of the main graph by name.

    Raises:
        ValueError: not an ONNX file.
    """
    data = memoryview(file.read_bytes())
    weights = {}
    try:
        for graph in _children(data, GRAPH):
            for tensor in _children(graph, INITIALIZER):
                fields = list(_fields(tensor))
                single = {number: value for number, value in fields if number != DIMS}
                if single.get(DATA_TYPE) == FLOAT and RAW_DATA in single:
                    values = np.frombuffer(bytes(single[RAW_DATA]), "<f4")
                    shape = [size for number, value in fields if number == DIMS
                             for size in (_varints(value) if isinstance(value, memoryview)
                                          else [value])]  # fmt: skip
                    weights[bytes(single[NAME]).decode()] = values.reshape(shape)
    except (IndexError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{file} is no ONNX file that can be read: {error}") from error
    return weights


def _children(message: memoryview, wanted: int) -> Iterator[memoryview]:
    for number, value in _fields(message):
        if number == wanted:
            if not isinstance(value, memoryview):
                raise ValueError(f"field {wanted} is a number")
            yield value


def _fields(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        kind = tag & 7
        if kind == 0:
            value, at = _varint(message, at)
            yield tag >> 3, value
            continue
        if kind == 2:
            size, at = _varint(message, at)
        elif kind in (1, 5):
            size = 8 if kind == 1 else 4
        else:
            raise ValueError(f"field of kind {kind}")
        yield tag >> 3, message[at : at + size]
        at += size


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at


def _varints(packed: memoryview) -> Iterator[int]:
    at = 0
    while at < len(packed):
        value, at = _varint(packed, at)
        yield value
