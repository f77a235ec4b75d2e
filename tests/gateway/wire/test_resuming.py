"""What a client says that lost its connection: read, or refused by name."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.checkpoint import Checkpoint
from engine.vad import VadState
from gateway.errors import InvalidOption
from gateway.wire.resuming import RESUMING, ResumePoint, split_resume

GIVEN = {"session": "0af7" * 8, "resume": "s3cret_-", "epoch": "7"}
CHECKPOINT = Checkpoint(VadState().tobytes(), at=80_000, start=80_000)


def test_without_any_of_it_there_is_nothing_to_resume() -> None:
    assert split_resume({"language": "en"}) == (None, {"language": "en"})


def test_what_is_given_is_read_and_the_rest_are_the_sessions_options() -> None:
    more = {
        "last_seq": "12", "from_sample": "80000", "last_segment": "3",
        "checkpoint": CHECKPOINT.encode(), "language": "en",
    }  # fmt: skip
    assert split_resume({**GIVEN, **more}) == (
        ResumePoint("0af7" * 8, "s3cret_-", 7, 12, 80_000, 3, CHECKPOINT),
        {"language": "en"},
    )


def test_what_is_left_out_is_nothing() -> None:
    point, _ = split_resume(GIVEN)
    assert point == ResumePoint("0af7" * 8, "s3cret_-", 7)


def test_a_checkpoint_of_another_version_is_as_none() -> None:
    point, _ = split_resume({**GIVEN, "checkpoint": "x" * 30})
    assert point is not None
    assert point.checkpoint is None


@pytest.mark.parametrize("missing", ["session", "resume", "epoch"])
def test_a_session_needs_its_secret_and_epoch(missing: str) -> None:
    with pytest.raises(InvalidOption, match=f"{missing} is needed too"):
        split_resume({name: each for name, each in GIVEN.items() if name != missing})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("session", "../etc"),
        ("session", "0AF7" * 8),
        ("resume", ""),
        ("resume", "é"),
        ("epoch", "-1"),
        ("epoch", "1" * 16),
        ("last_seq", "1.5"),
        ("from_sample", "x"),
        ("last_segment", True),
        ("checkpoint", "x" * 5000),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(name: str, value: object) -> None:
    with pytest.raises(InvalidOption, match=f"^{name} must be"):
        split_resume({**GIVEN, name: value})


values = st.none() | st.text(max_size=70) | st.integers() | st.floats() | st.binary(max_size=9)


@given(st.dictionaries(st.sampled_from(RESUMING), values))
def test_whatever_comes_it_is_read_or_refused(given: dict[str, Any]) -> None:
    try:
        point, others = split_resume(given)
    except InvalidOption:
        assert given
    else:
        assert others == {}
        assert (point is None) == (not given)
