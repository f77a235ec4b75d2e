"""P7 with the real model: memory does not grow with the length of a session."""

import pytest

from tests.memory_of_a_long_session import check, measure


@pytest.mark.timeout(900)
async def test_two_hours_of_speech_need_the_memory_of_ten_minutes() -> None:
    figures = await measure(hours=2.0, model="moonshine-tiny-en")

    check(figures)
    assert figures["finals"] > 800
