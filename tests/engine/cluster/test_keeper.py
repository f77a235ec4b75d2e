"""Copies that are kept loaded: what is awaited, and what is told when there are none."""

from typing import Any

import pytest

from engine.cluster import keeper
from engine.cluster.keeper import Keeper, NoCopyError
from engine.cluster.pool import Plan
from tests.engine.cluster.doubles import Remote

PLAN = Plan("any", least=2, most=3)


class PoolDouble:
    """Answers as `engine.cluster.pool.Pool` does, without an actor around it."""

    def __init__(self, *answers: tuple[int, str]) -> None:
        """
        Args:
            answers: copies that have loaded, and why the last one could not; the last for ever.
        """
        self.answers = list(answers)
        self.plan: Plan | None = None

    @property
    def join(self) -> Remote:
        return Remote(self._join)

    @property
    def members(self) -> Remote:
        return Remote(self._members)

    async def _join(self, plan: Plan) -> None:
        self.plan = plan

    async def _members(self) -> dict[str, Any]:
        copies, unavailable = self.answers[0]
        self.answers = self.answers[1:] or self.answers
        return {"members": [object()] * copies, "starting": [], "unavailable": unavailable}


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeper, "LOOK_EVERY_S", 0)


async def test_it_waits_for_the_least_of_copies() -> None:
    pool = PoolDouble((0, ""), (1, ""), (2, ""), (3, ""))
    kept = Keeper(pool, PLAN)
    await kept.load()
    assert pool.plan == PLAN
    assert await kept.copies() == 3


async def test_a_model_that_cannot_run_is_told() -> None:
    kept = Keeper(PoolDouble((0, ""), (0, "no GPU here")), PLAN)
    with pytest.raises(NoCopyError, match="no GPU here"):
        await kept.load()


async def test_it_is_well_while_a_copy_is() -> None:
    """Also when a further one cannot be had."""
    kept = Keeper(PoolDouble((1, "no room"), (0, ""), (0, "no room")), PLAN)
    await kept.check()
    with pytest.raises(NoCopyError, match="no copy of the model has loaded yet"):
        await kept.check()
    with pytest.raises(NoCopyError, match="no room"):
        await kept.check()
