"""Malformed messages, in short: `make malformed` sends a hundred thousand."""

import pytest

from tests.malformed import MOST_GROWTH_BYTES, pester


@pytest.mark.timeout(60)
async def test_no_message_harms_the_server_or_another_session(
    caplog: pytest.LogCaptureFixture,
) -> None:
    figures = await pester(messages=4000)

    assert figures.messages >= 4000
    assert figures.answers > 1000
    assert figures.canary
    assert figures.grown_bytes < MOST_GROWTH_BYTES
    assert not [record for record in caplog.records if record.levelname == "ERROR"]
