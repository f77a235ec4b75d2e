"""The promised savings, by arithmetic on the published shapes."""

import pytest

from engine.models.qwen3_asr.arithmetic import MODES, segment_cost


@pytest.mark.parametrize("shapes", ["quarter", "0.6b"])
def test_a_step_costs_less_than_half_of_everything_again(shapes: str) -> None:
    whole, ours = segment_cost(shapes, "a"), segment_cost(shapes, "d")

    assert ours.gflops <= 0.45 * whole.gflops
    assert ours.largest_gflops <= 0.385 * whole.largest_gflops
    assert ours.decode_steps <= 0.7 * whole.decode_steps


def test_each_part_saves_something() -> None:
    costs = [segment_cost("0.6b", mode) for mode in MODES]

    assert costs[0].gflops > costs[1].gflops > costs[2].gflops
    assert costs[3].gflops == pytest.approx(costs[2].gflops, rel=0.02)
    assert costs[3].decode_steps < costs[2].decode_steps


def test_the_design_s_figures_are_met() -> None:
    """411, 310 and 169 GFLOP a chunk over 30 s segments; the floor of new audio alone is 51."""
    means = [segment_cost("0.6b", mode, segment_s=30) for mode in "abc"]

    for mean, expected in zip(means, (411, 310, 169), strict=True):
        assert mean.gflops == pytest.approx(expected, rel=0.03)
