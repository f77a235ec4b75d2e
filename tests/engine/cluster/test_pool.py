"""How a pool keeps its copies, without Ray around them."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from engine.cluster import demand
from engine.cluster import pool as module
from engine.cluster.pool import Plan, Pool
from tests.engine.cluster.doubles import Remote

LANES = 2
PER_COPY = 20
"""Segments whose steps, one a second of each, take all of a copy's time."""
FULL = 0.9
"""Share of its time that a copy spends at most, whatever waits."""


class CopyDouble:
    """A copy with its part of a site's segments."""

    def __init__(self, site: "Site") -> None:
        self._site, self._needed_s, self._steps = site, 0.0, 0.0
        self._looked = time.monotonic()
        self.hello, self.load = Remote(self._hello), Remote(self._load)

    async def _hello(self) -> dict[str, Any]:
        await self._site.open.wait()
        self._site.serving += 1
        return {"info": {"lanes": LANES}}

    async def _load(self) -> dict[str, float]:
        now = time.monotonic()
        seconds, self._looked = now - self._looked, now
        segments = self._site.segments / self._site.serving
        share = min(FULL, segments / PER_COPY)
        self._needed_s += share * LANES * seconds
        self._steps += share * PER_COPY * seconds
        return {"needed_s": self._needed_s, "steps": self._steps, "segments": round(segments)}


@dataclass
class Site:
    """Where a pool's copies are. A new one serves when the site is open."""

    segments: int = 5
    open: asyncio.Event = field(default_factory=asyncio.Event)
    started: int = 0
    serving: int = 0
    copies: list[CopyDouble] = field(default_factory=list)

    def start(self, plan: Plan, number: int) -> CopyDouble:
        self.started += 1
        self.copies.append(CopyDouble(self))
        return self.copies[-1]

    def stop(self, copy: CopyDouble) -> None:
        self.serving -= 1
        self.copies.remove(copy)

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
    """With a pool of one to six copies, which looks often and decides soon."""
    monkeypatch.setattr(module, "WATCH_EVERY_S", 0.01)
    monkeypatch.setattr(module, "DRAIN_WITHIN_S", 0.0)
    monkeypatch.setattr(demand, "GROW_AFTER_S", 0.05)
    monkeypatch.setattr(demand, "SHRINK_AFTER_S", 0.1)
    site, left = Site(), asyncio.Event()
    site.open.set()
    pool = Pool(Plan("any", most=6, linger_s=0.0), site.start, site.stop, left.set, {})
    pool._seen += 60  # somebody asks all the time
    assert await site.settle() == 1
    yield site
    pool._seen = 0.0
    await left.wait()
    assert site.copies == []


async def test_a_crowd_gets_all_copies_at_once_while_none_of_them_serves(site: Site) -> None:
    site.open.clear()
    site.segments = 60

    await site.until(5)
    assert site.serving == 1
    assert await site.settle() == 5
    site.open.set()
    assert await site.settle() == 5


async def test_there_are_never_more_than_were_allowed(site: Site) -> None:
    site.segments = 1000

    await site.until(6)
    assert await site.settle() == 6


async def test_copies_that_have_room_stay_as_they_are(site: Site) -> None:
    site.segments = int(0.6 * PER_COPY)

    assert await site.settle() == 1


async def test_copies_with_little_to_do_end_one_by_one(site: Site) -> None:
    site.segments = 60
    await site.until(5)
    site.segments = 2

    await site.until(4)
    await site.until(1)
    assert site.started == 5
