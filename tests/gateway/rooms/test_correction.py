"""What editors may say, and that whatever else comes is refused by name."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import InvalidMessage
from gateway.rooms.correction import MAX_TEXT_CHARS, parse_correction

GOOD: dict[str, Any] = {"type": "correct", "segment": 3, "text": "Better.", "revision": 0}


def test_a_correction_is_read() -> None:
    wanted = parse_correction(json.dumps(GOOD | {"session": "s", "id": "1"}), 1000)

    assert (wanted.segment, wanted.text, wanted.revision) == (3, "Better.", 0)
    assert (wanted.session, wanted.id) == ("s", "1")


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"type": "finalize"}, "type"),
        ({"segment": -1}, "segment"),
        ({"segment": "3"}, "segment"),
        ({"segment": True}, "segment"),
        ({"text": None}, "text"),
        ({"text": "x" * (MAX_TEXT_CHARS + 1)}, "text"),
        ({"revision": 0.5}, "revision"),
        ({"language": "en"}, "language"),
    ],
)
def test_what_is_wrong_is_named(change: dict[str, Any], named: str) -> None:
    with pytest.raises(InvalidMessage, match=f'^"{named}": ') as refusal:
        parse_correction(json.dumps(GOOD | {"id": "1"} | change), 10_000)

    assert refusal.value.id == "1"


@given(st.text() | st.recursive(st.none() | st.integers(), st.lists).map(json.dumps))
def test_whatever_comes_is_refused_in_words(text: str) -> None:
    with pytest.raises(InvalidMessage, match=r"\.$"):
        parse_correction(text, 1000)


def test_a_message_that_is_too_long_is_not_read() -> None:
    with pytest.raises(InvalidMessage, match="at most 80 bytes"):
        parse_correction(json.dumps(GOOD | {"text": "é" * 30}, ensure_ascii=False), 80)
