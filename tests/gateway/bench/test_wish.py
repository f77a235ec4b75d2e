"""Which shape of load a wish comes to."""

import pytest

from gateway.bench.plan import Kind, Track
from gateway.bench.visits import Shape
from gateway.bench.wish import Wish

KINDS = [Kind(Track("x", bytes(2 * 16_000 * 2)))]
"""2 s, and 1 s of silence."""


@pytest.mark.parametrize(
    ("wish", "shape"),
    [
        (Wish(), Shape(3, 2, 3)),
        (Wish(chunk_ms="auto", duration_s=9), Shape(3, 2, 9)),
        (Wish(chunk_ms="500", find_capacity=True), Shape(3, 0.5, 35)),
        (Wish(ramp_s=120), Shape(3, 120, 30, kept=True)),
        (Wish(ramp_s=120, hold_s=5), Shape(3, 120, 5, kept=True)),
        (Wish(hold_s=60, stagger_s=1, length_s=7), Shape(3, 1, 60, kept=True, length_s=7)),
        (Wish(soak_h=2), Shape(3, 2, 7200, kept=True, length_s=300)),
        (Wish(churn_per_min=60), Shape(3, 0, 60, kept=True, per_min=60, length_s=20)),
        (
            Wish(soak_h=1, ramp_s=60, churn_per_min=6, length_s=5, fixed_length=True, vanish=0.1),
            Shape(3, 60, 3600, True, per_min=6, length_s=5, fixed=True, vanish=0.1),
        ),
    ],
)
def test_options_combine(wish: Wish, shape: Shape) -> None:
    assert wish.shape(3, KINDS) == shape


def test_warm_up_is_what_was_said_or_that_of_a_search() -> None:
    assert Wish().measured_from_s == 0
    assert Wish(find_capacity=True).measured_from_s == 5
    assert Wish(find_capacity=True, warm_up_s=1).measured_from_s == 1
