"""How a pool keeps its copies, without Ray around them."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from engine.cluster import pool as module
from engine.cluster.pool import Plan, Pool

LANES = 2


@dataclass
class Remote:
    """A method as Ray has them."""

    remote: Callable[[], Awaitable[Any]]


class CopyDouble:
    """A copy whose lanes need a given share of their time."""

    def __init__(self, site: "Site") -> None:
        self._site, self._needed_s, self._looked = site, 0.0, time.monotonic()
        self.hello, self.load = Remote(self._hello), Remote(self._load)

    async def _hello(self) -> dict[str, Any]:
        return {"info": {"lanes": LANES}}

    async def _load(self) -> dict[str, float]:
        now = time.monotonic()
        self._needed_s += self._site.share * LANES * (now - self._looked)
        self._looked = now
        return {"needed_s": self._needed_s, "segments": self._site.segments}


@dataclass
class Site:
    """Where a pool's copies are; a new one is ready at once."""

    share: float = 0.0
    segments: int = 0
    started: int = 0
    copies: list[CopyDouble] = field(default_factory=list)

    def start(self, plan: Plan, number: int) -> CopyDouble:
        self.started += 1
        self.copies.append(CopyDouble(self))
        return self.copies[-1]

    async def settle(self) -> int:
        """Copies after several looks at them."""
        await asyncio.sleep(20 * module.WATCH_EVERY_S)
        return len(self.copies)

    async def until(self, copies: int) -> None:
        async with asyncio.timeout(4):
            while len(self.copies) != copies:
                await asyncio.sleep(module.WATCH_EVERY_S)


@pytest.fixture
async def site(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Site]:
    """With a pool of one to four copies, which looks often and decides soon."""
    for name, value in {
        "WATCH_EVERY_S": 0.01,
        "GROW_AFTER_S": 0.03,
        "SHRINK_AFTER_S": 0.05,
    }.items():
        monkeypatch.setattr(module, name, value)
    site, left = Site(), asyncio.Event()
    plan = Plan("any", least=1, most=4, linger_s=0.0)
    pool = Pool(plan, site.start, site.copies.remove, left.set, {})
    pool._seen += 60  # somebody asks all the time
    yield site
    pool._seen = 0.0
    await left.wait()
    assert site.copies == []


async def test_copies_that_need_most_of_their_time_get_help(site: Site) -> None:
    site.share = 0.9

    await site.until(4)
    assert await site.settle() == 4


async def test_copies_that_have_room_get_none_and_stay(site: Site) -> None:
    site.share = 0.9
    await site.until(2)
    site.share = 0.6

    assert await site.settle() in {2, 3}  # one may have been on its way
    kept = len(site.copies)
    assert await site.settle() == kept


async def test_copies_with_little_to_do_end_one_by_one(site: Site) -> None:
    site.share = 0.9
    await site.until(4)
    site.share = 0.1

    await site.until(3)
    await site.until(1)
    assert site.started == 4
