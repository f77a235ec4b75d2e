"""The soak run's short form."""

import pytest

from tests.soak import check, soak


@pytest.mark.timeout(120)
async def test_nothing_stays_and_nothing_is_lost() -> None:
    figures = await soak(seconds=8)

    check(figures)
    assert figures.sessions > 10
