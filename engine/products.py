"""Matrix products whose columns do not notice each other, to the last bit.

In what order BLAS adds up a column depends on how many columns a product has, and on where among
them it stands: OpenBLAS's kernels for AVX2 treat the outermost eight unlike the others. So large
products have margins that count for nothing, and small ones always the same few columns; where this
machine's BLAS is seen to need it, all are small.
"""

from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float32]
Multiply = Callable[[Matrix, Matrix], Matrix]

_COLUMNS = 16
"""Of a small product, at most; those of a large one are a multiple."""
MARGIN = 8
"""Columns at either end of a large product that count for nothing."""
MOST_COLUMNS = 256
"""Worked on together: what does not fit into the cache is slower."""


def padded(frames: int) -> int:
    """The next number of frames that small products divide into."""
    return -(-frames // _COLUMNS) * _COLUMNS


def columns_alike(matrices: list[Matrix], multiply: Multiply = np.matmul) -> int:
    """How many columns of a product are all added up alike: `_COLUMNS`, halved until they are.

    Args:
        matrices: whose products are meant.
        multiply: what makes them.
    """
    columns = _COLUMNS
    while columns > 1 and not _alike(matrices, multiply, (columns,), 0):
        columns //= 2
    return columns


def alike_within_margins(matrices: list[Matrix], multiply: Multiply = np.matmul) -> bool:
    """Whether all columns but `MARGIN` at either end are added up alike, however many there are.

    Args:
        matrices: whose products are meant.
        multiply: what makes them.
    """
    widths = range(2 * _COLUMNS, MOST_COLUMNS + 1, _COLUMNS)
    return _alike(matrices, multiply, widths, MARGIN)


def _alike(matrices: list[Matrix], multiply: Multiply, widths: Iterable[int], margin: int) -> bool:
    random = np.random.default_rng(0)
    for matrix in matrices:
        column = random.standard_normal((matrix.shape[1], 1), np.float32)
        products = [multiply(matrix, np.repeat(column, width, axis=1)) for width in widths]
        inner = np.hstack([each[:, margin : each.shape[1] - margin] for each in products])
        if (inner != inner[:, :1]).any():
            return False
    return True


def in_blocks(matrix: Matrix, columns: int) -> Matrix:
    """Shape ``(…, rows, n)`` to ``(n / columns, …, rows, columns)``: a view, to be written to."""
    return np.moveaxis(matrix.reshape(*matrix.shape[:-1], -1, columns), -2, 0)
