"""A correction replaces the text that its editor saw, and no other."""

import json
from typing import Any

import pytest

from gateway.errors import InvalidMessage
from gateway.rooms.correction import Correction, StaleCorrection
from gateway.rooms.finals import Finals
from gateway.rooms.frames import RoomFrame


def added(finals: Finals, seq: int, text: str, session: str = "s", segment: int = 0) -> RoomFrame:
    fields = {"type": "final", "session": session, "seq": seq, "segment": segment, "text": text}
    more = {"words": [], "confidence": 0.9, "start_ms": 0, "end_ms": 1000}
    return finals.add((session, segment), fields | more)


def correction(text: str, revision: int = 0, **fields: Any) -> Correction:
    return Correction(type="correct", text=text, revision=revision, **{"segment": 0, **fields})


def maps(frames: list[RoomFrame]) -> list[dict[str, Any]]:
    return [json.loads(frame.text) for frame in frames]


@pytest.fixture
def finals() -> Finals:
    """Two segments, messages 1 and 2."""
    finals = Finals(2)
    added(finals, 1, " One.")
    added(finals, 2, " Two.", segment=1)
    return finals


def test_who_comes_late_gets_the_corrected_text_in_its_old_place(finals: Finals) -> None:
    finals.correct(correction("Won."), 3)

    first, second = maps(finals.since(0))
    assert (first["type"], first["seq"], first["text"], first["revision"]) == (
        "final", 1, " Won.", 1,
    )  # fmt: skip
    assert (second["text"], second.get("revision")) == (" Two.", None)
    assert "words" not in first  # they were the old text's
    assert "confidence" not in first


def test_who_had_the_final_gets_what_was_corrected(finals: Finals) -> None:
    finals.correct(correction("Won."), 3)
    finals.correct(correction("1", revision=1), 4)

    (told,) = maps(finals.since(2))
    assert told == {"type": "corrected", "session": "s", "seq": 4, "segment": 0, "text": " 1",
                    "revision": 2}  # fmt: skip
    assert finals.since(4) == []


def test_a_stale_correction_is_refused_with_what_is_there_now(finals: Finals) -> None:
    finals.correct(correction("Won."), 3)
    with pytest.raises(StaleCorrection, match=r"at revision 1 now, not 0") as refusal:
        finals.correct(correction("Wan."), 4)

    assert refusal.value.current == {
        "session": "s", "segment": 0, "text": " Won.", "revision": 1,
    }  # fmt: skip
    assert maps(finals.since(0))[0]["text"] == " Won."


def test_the_space_before_a_segment_is_not_the_editors_business(finals: Finals) -> None:
    for revision, (wanted, kept) in enumerate([("a", " a"), ("", ""), ("  b ", " b")]):
        finals.correct(correction(wanted, revision), 3 + revision)
        assert maps(finals.since(0))[0]["text"] == kept


def test_a_final_that_is_said_again_stays_corrected(finals: Finals) -> None:
    finals.correct(correction("Won."), 3)
    again = json.loads(added(finals, 4, " One.").text)

    assert (again["text"], again["revision"], again["seq"]) == (" Won.", 1, 4)
    finals.correct(correction("1", revision=1), 5)


def test_the_newest_session_is_meant_unless_one_is_named(finals: Finals) -> None:
    added(finals, 3, " Three.", session="t")
    finals.correct(correction("3"), 4)
    finals.correct(correction("2", segment=1, session="s"), 5)

    assert [each["text"] for each in maps(finals.since(0))] == [" 2", " 3"]


@pytest.mark.parametrize("fields", [{"segment": 9}, {"session": "other"}, {"segment": 0}])
def test_what_is_not_kept_cannot_be_corrected(finals: Finals, fields: dict[str, Any]) -> None:
    added(finals, 3, " Three.", segment=2)  # the first one goes
    with pytest.raises(InvalidMessage, match="There is no final"):
        finals.correct(correction("x", **fields), 4)
