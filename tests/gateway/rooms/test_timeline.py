"""What is over on a room's line of time is never written in again."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.rooms.timeline import PIECE_MS, Timeline


def test_a_session_begins_with_a_piece_of_its_own() -> None:
    timeline = Timeline()

    assert timeline.place("a", 500, 2500) == (500, 2500)
    assert timeline.place("a", 3000, PIECE_MS + 1) == (3000, PIECE_MS + 1)
    assert timeline.place("b", 100, 200) == (2 * PIECE_MS + 100, 2 * PIECE_MS + 200)
    timeline.end_session()
    assert timeline.end_ms == 3 * PIECE_MS


def test_one_that_ends_with_its_piece_adds_nothing() -> None:
    timeline = Timeline()
    timeline.place("a", 0, PIECE_MS)
    timeline.end_session()

    assert timeline.end_ms == PIECE_MS


@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.integers(0, 90_000), st.integers(0, 30_000))
        | st.none(),
        max_size=20,
    )
)
def test_nothing_comes_before_what_was_there(finals: list[tuple[str, int, int] | None]) -> None:
    timeline = Timeline()
    for final in finals:
        over = timeline.end_ms
        if final is None:
            timeline.end_session()
        else:
            session, start, length = final
            span = timeline.place(session, start, start + length)
            assert over <= span[0]
            assert span[1] - span[0] == length
        assert over <= timeline.end_ms
