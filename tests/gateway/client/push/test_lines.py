"""Which lines a room's messages become, and when they were said."""

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.client.push.lines import Lines

NOW = datetime(2026, 1, 2, tzinfo=UTC)


def said(segment: int, text: str = " A word.", session: str = "a", **more: Any) -> dict[str, Any]:
    message = {"type": "final", "session": session, "segment": segment, "text": text,
               "start_ms": 0, "end_ms": 2000, "language": "en"}  # fmt: skip
    return message | more


def test_finals_are_lines_and_nothing_else_is() -> None:
    lines = Lines()

    assert lines.of(said(0, type="partial"), NOW) == []
    assert lines.of({"type": "corrected", "session": "a", "segment": 0, "text": "x"}, NOW) == []
    assert [line.rows for line in lines.of(said(0), NOW)] == [("A word.",)]
    assert lines.of(said(1, text=" "), NOW) == []


def test_a_final_that_is_said_again_is_posted_once() -> None:
    lines = Lines(said=[("a", 0)])
    assert lines.of(said(0), NOW) == []
    assert len(lines.of(said(1), NOW)) == 1
    assert lines.of(said(1, text=" Corrected."), NOW) == []
    assert len(lines.of(said(1, session="b"), NOW)) == 1


def test_a_line_says_when_it_was_said_however_late_it_comes() -> None:
    lines = Lines()
    lines.of(said(0, type="partial", end_ms=1000), NOW)  # began at -1.0 s
    late = NOW + timedelta(seconds=9)
    [line] = lines.of(said(0, start_ms=400, end_ms=2000), late)

    assert line.said_at == NOW - timedelta(seconds=0.6)
    assert line.language == "en"


@settings(max_examples=30, deadline=None)
@given(
    texts=st.lists(st.text("ab 会. ", min_size=1, max_size=200), max_size=4),
    delays=st.lists(st.floats(0, 30), min_size=4, max_size=4),
)
def test_lines_are_whole_short_and_in_order(texts: list[str], delays: list[float]) -> None:
    lines = Lines()
    found = [
        line
        for i, (text, delay) in enumerate(zip(texts, delays, strict=False))
        for line in lines.of(
            said(i, text, start_ms=i * 3000, end_ms=i * 3000 + 2500),
            NOW + timedelta(seconds=3 * i + delay),
        )
    ]

    assert all(1 <= len(line.rows) <= 2 for line in found)
    times = [line.said_at for line in found]
    assert times == sorted(times)
    told = "".join("".join(line.rows) for line in found).split()
    assert "".join(told) == "".join("".join(texts).split())
