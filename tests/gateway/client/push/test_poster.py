"""A service that fails or answers late gets each line once, in order, with one number."""

import time
from datetime import UTC, datetime

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.client.push.address import CaptionAddress, Line
from gateway.client.push.poster import AddressRefused, GivenUp, Patience, Poster
from tests.gateway.client.push.caption_service import (
    CUT,
    LATE,
    CaptionServiceDouble,
    caption_service,
)

STEADY = Patience(first_wait_s=0.001, most_wait_s=0.002)
QUICK = Patience(attempt_s=0.05, line_s=5.0, first_wait_s=0.001, most_wait_s=0.002)
"""For answers that never come; on a busy machine it may give up on others too."""
HASTY = Patience(attempt_s=0.5, line_s=2.0, first_wait_s=9.0)
"""A second try would be too late."""


def line(text: str) -> Line:
    return Line((text,), datetime(2026, 1, 2, tzinfo=UTC), heard_s=time.monotonic())


async def post_all(
    service: CaptionServiceDouble, texts: list[str], patience: Patience = STEADY, number: int = 1
) -> list[str]:
    """What is told while a poster posts them all."""
    told: list[str] = []
    async with httpx.AsyncClient(trust_env=False) as http:
        address = CaptionAddress.parse(service.url, "zoom")
        poster = Poster(http, address, number, told.append, patience)
        for text in texts:
            await poster.post(line(text))
        assert poster.number <= number + len(texts)
    return told


async def test_lines_come_in_order_with_numbers_that_count() -> None:
    async with caption_service() as service:
        assert await post_all(service, ["one", "two", "three"], number=5) == []

    assert service.tries == [(5, b"one"), (6, b"two"), (7, b"three")]
    assert service.content_types == {"text/plain"}


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(answers=st.lists(st.sampled_from([200, 500, 503, 429, 408, 400, LATE, CUT]), max_size=8))
async def test_no_line_has_two_numbers_and_no_number_two_lines(answers: list[int | str]) -> None:
    texts = [f"line {i}" for i in range(4)]
    async with caption_service(*answers) as service:
        told = await post_all(service, texts, QUICK)

    assert len(set(service.tries)) == len({number for number, _ in service.tries}) == 4
    assert [body.decode() for _, body in dict.fromkeys(service.tries)] == texts
    assert sorted(service.tries) == service.tries
    missing = set(texts) - {body.decode() for body in service.taken.values()}
    assert missing <= {line.rpartition(": ")[2] for line in told}


async def test_a_line_that_was_given_up_keeps_its_number() -> None:
    async with caption_service(LATE) as service:
        told = await post_all(service, ["slow", "next"], HASTY)

    assert told == ["Line 1 was given up, no answer came within 0.5 s: slow"]
    assert service.tries == [(1, b"slow"), (2, b"next")]


async def test_a_line_that_waited_too_long_is_left_out_without_a_number() -> None:
    told: list[str] = []
    async with caption_service() as service, httpx.AsyncClient(trust_env=False) as http:
        poster = Poster(http, CaptionAddress.parse(service.url, "zoom"), 1, told.append, QUICK)
        old = Line(("old",), datetime.now(UTC), heard_s=time.monotonic() - 6)
        assert not await poster.post(old)
        assert await poster.post(line("new"))
    assert told == ["A line waited too long and was left out: old"]
    assert service.taken == {1: b"new"}


@pytest.mark.parametrize("status", [301, 401, 403, 404, 410])
async def test_an_address_that_is_refused_is_not_tried_again(status: int) -> None:
    async with caption_service(status) as service:
        with pytest.raises(AddressRefused, match=f"HTTP {status}") as refusal:
            await post_all(service, ["one"])
        assert "secret" not in str(refusal.value)
    assert len(service.tries) == 1


async def test_a_service_that_is_not_there_is_named_without_its_secret() -> None:
    async with caption_service() as service:
        pass
    brief = Patience(line_s=0.5, first_wait_s=0.01, most_wait_s=0.1)
    [told] = await post_all(service, ["one"], brief)
    assert told == "Line 1 was given up, nobody answered: one"


async def test_the_count_goes_on_where_the_service_says() -> None:
    async with caption_service(503, LATE) as service, httpx.AsyncClient(trust_env=False) as http:
        service.last = 41
        poster = Poster(http, CaptionAddress.parse(service.url, "zoom"), 1, print, QUICK)
        await poster.find_number()
        assert poster.number == 42


async def test_a_service_that_tells_no_number_is_an_error() -> None:
    async with caption_service(403) as service, httpx.AsyncClient(trust_env=False) as http:
        poster = Poster(http, CaptionAddress.parse(service.url, "zoom"), 1, print, STEADY)
        with pytest.raises(AddressRefused):
            await poster.find_number()
        service.last = "many"  # type: ignore[assignment]
        with pytest.raises(GivenUp, match="--first"):
            await poster.find_number()
