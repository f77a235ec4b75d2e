"""Products are cut so that this machine's BLAS, whatever it does, adds up each column alike."""

import numpy as np
import pytest

from engine.products import Matrix, Multiply, alike_within_margins, columns_alike

MATRIX = np.random.default_rng(1).standard_normal((64, 65), np.float32)


def alike(matrix: Matrix, columns: Matrix) -> Matrix:
    """A product of equal columns, each of them added up in the same order."""
    return np.repeat(matrix @ columns[:, :1], columns.shape[1], axis=1)


def uneven(outermost: int) -> Multiply:
    """A product whose outermost columns, at either end, differ from the others by a rounding."""

    def multiply(matrix: Matrix, columns: Matrix) -> Matrix:
        product = alike(matrix, columns)
        ends = np.r_[:outermost, product.shape[1] - outermost : product.shape[1]]
        product[:, ends] = np.nextafter(product[:, ends], np.float32(np.inf))
        return product

    return multiply


def other_at(width: int) -> Multiply:
    """A product that is another for one number of columns."""

    def multiply(matrix: Matrix, columns: Matrix) -> Matrix:
        return alike(matrix, columns) + np.float32(columns.shape[1] == width)

    return multiply


def left_and_right(matrix: Matrix, columns: Matrix) -> Matrix:
    """A product whose halves differ."""
    product = alike(matrix, columns)
    product[:, : columns.shape[1] // 2] += 1
    return product


def test_large_products_are_made_where_all_columns_are_alike() -> None:
    assert alike_within_margins([MATRIX], alike)
    assert columns_alike([MATRIX], alike) == 16


def test_margins_do_where_only_the_outermost_columns_differ() -> None:
    assert alike_within_margins([MATRIX], uneven(8))
    assert not alike_within_margins([MATRIX], uneven(9))


@pytest.mark.parametrize("width", range(32, 257, 16))
def test_margins_do_not_where_the_number_of_columns_matters(width: int) -> None:
    assert not alike_within_margins([MATRIX], other_at(width))


def test_small_products_are_as_small_as_they_have_to_be() -> None:
    assert columns_alike([MATRIX], uneven(4)) == 8
    assert columns_alike([MATRIX], left_and_right) == 1
