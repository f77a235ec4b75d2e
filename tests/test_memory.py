"""P7 with the real model: memory does not grow with the length of a session."""

import pytest

from tests.memory_of_a_long_session import check, measure


@pytest.mark.timeout(600)
async def test_half_an_hour_of_speech_needs_the_memory_of_ten_minutes() -> None:
    """`make long-session` is of two hours."""
    figures = await measure(hours=0.5, model="moonshine-tiny-en")

    check(figures)
    assert figures["finals"] > 200
