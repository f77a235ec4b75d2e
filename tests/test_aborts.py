"""The short form of ``python -m tests.aborts``: who vanishes leaves nothing."""

import pytest

from tests.aborts import check, vanish_all


@pytest.mark.timeout(120)
async def test_a_thousand_clients_vanish_at_any_byte() -> None:
    check(await vanish_all(1000))
