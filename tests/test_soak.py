"""The soak run's short form: two minutes."""

import pytest

from tests.soak import check, soak


@pytest.mark.timeout(300)
async def test_nothing_stays_and_nothing_is_lost() -> None:
    figures = await soak(seconds=108)

    check(figures)
    assert figures.sessions > 50
