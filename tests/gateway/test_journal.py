"""What a client missed: all of it, in order, each once; or nothing, where not all is kept."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.journal import Journal
from gateway.wire.messages import Final, Pong


@given(st.integers(0, 30), st.integers(1, 10), st.integers(-3, 40))
def test_all_after_a_number_or_nothing(told: int, kept: int, seen: int) -> None:
    journal = Journal(max_events=kept, max_bytes=10**6)
    numbers = [journal.add(Pong(str(number))) for number in range(1, told + 1)]

    missed = journal.since(seen)

    assert numbers == list(range(1, told + 1))
    if max(0, told - kept) <= seen <= told:
        assert missed == [Pong(str(number)) for number in range(seen + 1, told + 1)]
    else:
        assert missed is None


@pytest.mark.parametrize("chars", [10, 1000])
def test_long_texts_are_bounded_in_bytes_but_the_newest_is_kept(chars: int) -> None:
    journal = Journal(max_events=1000, max_bytes=400)
    final = Final(1, "x" * chars, False, 0, 0, None, "stop")
    for _ in range(50):
        journal.add(final)

    kept = max(1, 400 // (4 * chars))
    assert journal.since(50 - kept) == [final] * kept
    assert journal.since(50 - kept - 1) is None
