"""What cannot be wished for at once."""

from typing import Any

import pytest

from gateway.bench.conflicts import conflicts
from gateway.bench.wish import Wish


def test_what_goes_together_has_no_conflict() -> None:
    assert [*conflicts(Wish())] == []
    assert [*conflicts(Wish(ramp_s=600, soak_h=2, length_s=60, vanish=0.5, resume=0.5))] == []
    assert [*conflicts(Wish(churn_per_min=60, ramp_s=10, hold_s=20, mix=("native",)))] == []
    assert [*conflicts(Wish(compare=("a=ws://x",), steps=(1, 2)), "1,2")] == []


@pytest.mark.parametrize(
    ("wish", "option"),
    [
        ({"server_pid": 1}, "--server-pid"),
        ({"url": "ws://x", "model": "m"}, "--model"),
        ({"url": "ws://x", "workers": 2}, "--workers"),
        ({"chunk_ms": "soon"}, "--chunk-ms"),
        ({"protocols": ("smoke",)}, "--protocol"),
        ({"mix": ("native",), "language": "en"}, "--mix"),
        ({"mix": ("native",), "protocols": ("openai",)}, "--mix"),
        ({"vanish": 0.6, "resume": 0.6}, "--vanish"),
        ({"soak_h": 1, "hold_s": 5}, "--soak-h"),
        ({"ramp_s": 5, "find_capacity": True}, "--find-capacity"),
        ({"soak_h": 1, "duration_s": 5}, "--duration-s"),
        ({"ramp_s": 5, "stagger_s": 2}, "--stagger-s"),
        ({"length_s": 5}, "--length-s"),
        ({"soak_h": 1, "fixed_length": True}, "--fixed-length"),
        ({"churn_per_min": 5, "sessions": 3}, "--churn-per-min"),
        ({"compare": ("a=ws://x",), "url": "ws://y"}, "--compare"),
        ({"compare": ("a=ws://x",), "steps": (1, 0)}, "--steps"),
    ],
)
def test_each_conflict_names_its_option(wish: dict[str, Any], option: str) -> None:
    [(named, complaint)] = conflicts(Wish(**wish))

    assert named == option
    assert complaint.endswith(".")


def test_steps_need_a_comparison() -> None:
    assert [*conflicts(Wish(), "1,2")] == [("--steps", "needs --compare.")]
