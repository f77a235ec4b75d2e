"""The promised savings, by arithmetic on the published shapes."""

import pytest

from engine.models.qwen3_asr.arithmetic import MODES, segment_cost
from engine.models.qwen3_asr.cost import CostMeter
from engine.models.qwen3_asr.shapes import config_of


@pytest.mark.parametrize("shapes", ["quarter", "0.6b"])
def test_a_step_costs_less_than_half_of_everything_again(shapes: str) -> None:
    whole, ours = segment_cost(shapes, "a"), segment_cost(shapes, "d")

    assert ours.gflops <= 0.41 * whole.gflops
    assert ours.largest_gflops <= 0.36 * whole.largest_gflops
    assert ours.decode_steps <= 0.7 * whole.decode_steps


def test_each_part_saves_something() -> None:
    costs = [segment_cost("0.6b", mode) for mode in MODES]

    assert costs[0].gflops > costs[1].gflops > costs[2].gflops
    assert costs[3].gflops == pytest.approx(costs[2].gflops, rel=0.02)
    assert costs[3].decode_steps < costs[2].decode_steps


def test_the_design_s_figures_are_met() -> None:
    """411, 310 and 169 GFLOP a chunk over 30 s segments, less what is kept of each second."""
    means = [segment_cost("0.6b", mode, segment_s=30) for mode in "abc"]
    again = CostMeter(config_of("0.6b"))
    again.convolved(1)
    # Of the open window, 4.4 s old in the mean, the convolutions see the two new seconds alone.
    kept = (sum([2, 4, 6, 8] * 3 + [2, 4, 6]) / 15 - 2) * again.total.flops / 1e9

    for mean, expected in zip(means, (411, 310 - kept, 169 - kept), strict=True):
        assert mean.gflops == pytest.approx(expected, rel=0.03)
