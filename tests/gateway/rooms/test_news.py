"""What processes say to each other about rooms arrives as it was said, or not at all."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.rooms.correction import Correction
from gateway.rooms.finals import Kept
from gateway.rooms.frames import RoomFrame
from gateway.rooms.news import (
    Correct,
    Final,
    News,
    Publish,
    Refused,
    Release,
    Said,
    Say,
    Whole,
    pack,
    parse_ask,
    parse_news,
)
from gateway.rooms.room import RoomState

FRAME = RoomFrame(7, '{"text":"é"}', ("s", 1), True, (0, 1000))
FIELDS = {"type": "final", "session": "s", "segment": 1, "text": " é", "start_ms": 0, "end_ms": 9,
          "confidence": 0.1, "words": [{"text": "é"}]}  # fmt: skip
ASKS = [
    Publish(n=1, owner=None, name="a", session="s"),
    Correct(
        n=2, owner="alice", name="a",
        wanted=Correction(type="correct", segment=1, text="é", revision=0, id="i"),
    ),
    Say(n=1, fields=FIELDS),
    Release(n=1),
]  # fmt: skip
NEWS: list[News] = [
    Whole(room=1, state=RoomState(7, True, "s", (FRAME,), (6000, "s", 0), 0)),
    Final(room=1, kept=Kept(FRAME, " é", " ", 1, FRAME)),
    Said(room=1, fields=FIELDS),
    Refused(n=1, limit=None),
]


@pytest.mark.parametrize("ask", ASKS)
def test_asks_arrive(ask: Publish | Correct | Say | Release) -> None:
    assert parse_ask(pack(ask)) == ask


@pytest.mark.parametrize("news", NEWS)
def test_news_arrives(news: News) -> None:
    assert parse_news(pack(news)) == news


def test_an_id_that_no_text_can_carry_does_not_stop_what_is_said() -> None:
    said = parse_ask(pack(Say(n=1, fields=FIELDS | {"id": "\ud800"})))

    assert isinstance(said, Say)
    assert said.fields["id"] == "?"


@pytest.mark.parametrize(
    "wrong",
    [{"type": ["final"]}, {"segment": [1]}, {"start_ms": "0"}, {"text": 5}, {"session": None}],
    ids=str,
)
def test_what_is_said_has_fields_of_the_right_kind(wrong: dict[str, object]) -> None:
    final = FIELDS | {"type": "final", "segment": 1, "text": "a", "start_ms": 0, "end_ms": 1}
    assert parse_ask(pack(Say(n=1, fields=final)))

    with pytest.raises(ValueError, match="of another kind"):
        Say(n=1, fields=final | wrong)


KEYS = st.sampled_from(["do", "n", "room", "fields"])


@given(
    st.text() | st.binary() | st.dictionaries(KEYS, st.just("say") | st.integers()).map(json.dumps)
)
def test_whatever_else_comes_is_refused(text: str | bytes) -> None:
    for parse in (parse_ask, parse_news):
        with pytest.raises(ValueError):  # noqa: PT011 - pydantic's own and ours alike
            parse(text)
