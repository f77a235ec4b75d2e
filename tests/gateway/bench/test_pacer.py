"""Whose turn it is to speak."""

import asyncio
import time
from collections.abc import Callable

from gateway.bench.pacer import Pacer
from tests.waiting import until


def speaker(
    name: str, frames: int, due: float, every_s: float, said: list[str]
) -> Callable[[], float | None]:
    """Notes its turns; its schedule is absolute, as that of a session is."""
    count = 0

    def speak() -> float | None:
        nonlocal count
        count += 1
        said.append(name)
        return due + count * every_s if count < frames else None

    return speak


async def test_each_speaks_when_it_is_due_and_never_before() -> None:
    pacer, began, times = Pacer(), time.monotonic(), []

    def speak() -> float | None:
        times.append(time.monotonic() - began)
        return began + 0.02 * (len(times) + 1) if len(times) < 5 else None

    pacer.add(began + 0.02, speak)
    await until(lambda: len(times) == 5)
    await asyncio.sleep(0.05)

    assert len(times) == 5
    assert all(at >= 0.02 * (i + 1) for i, at in enumerate(times))


async def test_who_comes_later_may_be_due_sooner() -> None:
    pacer, said, now = Pacer(), list[str](), time.monotonic()

    pacer.add(now + 0.1, speaker("late", 1, now, 0, said))
    pacer.add(now + 0.01, speaker("soon", 1, now, 0, said))
    await until(lambda: len(said) == 2)

    assert said == ["soon", "late"]


async def test_who_is_behind_catches_up_the_most_behind_first() -> None:
    pacer, said, now = Pacer(), list[str](), time.monotonic()

    pacer.add(now - 0.30, speaker("a", 3, now - 0.30, 0.1, said))
    pacer.add(now - 0.25, speaker("b", 3, now - 0.25, 0.1, said))
    await until(lambda: len(said) == 6)

    assert said == ["a", "b", "a", "b", "a", "b"]


async def test_it_begins_again_after_all_have_ended() -> None:
    pacer, said = Pacer(), list[str]()

    pacer.add(time.monotonic(), speaker("a", 1, 0, 0, said))
    await until(lambda: said == ["a"])
    await asyncio.sleep(0.05)
    pacer.add(time.monotonic(), speaker("b", 1, 0, 0, said))
    await until(lambda: len(said) == 2)

    assert said == ["a", "b"]
