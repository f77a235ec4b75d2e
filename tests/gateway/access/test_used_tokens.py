"""A token for one session opens one, however many processes know it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gateway.access import used_tokens
from gateway.access.used_tokens import Used, UsedHere, UsedInFolder

NOW = 1_800_000_000


@pytest.fixture(params=["here", "in_folder"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[Callable[[], float]], Used]:
    if request.param == "here":
        return UsedHere
    return lambda clock: UsedInFolder(tmp_path, clock)


def test_only_the_first_use_counts(make: Any) -> None:
    used = make(lambda: NOW)

    assert "a" not in used
    assert used.add("a", NOW + 60)
    assert "a" in used
    assert not used.add("a", NOW + 60)
    assert used.add("b", NOW + 60)


def test_notes_of_expired_tokens_go(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(used_tokens, "PRUNE_EVERY", 10)
    now = float(NOW)
    used = make(lambda: now)
    for i in range(30):
        used.add(f"old-{i}", NOW + 60)
    now = NOW + 1000
    for i in range(90):
        used.add(f"new-{i}", NOW + 2000)

    assert not any(f"old-{i}" in used for i in range(30))
    assert all(f"new-{i}" in used for i in range(90))


def test_processes_share_a_folder(tmp_path: Path) -> None:
    one, other = (UsedInFolder(tmp_path, lambda: NOW) for _ in range(2))

    assert one.add("a", NOW + 60)
    assert "a" in other
    assert not other.add("a", NOW + 60)


def test_an_id_is_never_a_path(tmp_path: Path) -> None:
    folder = tmp_path / "used"
    folder.mkdir()
    UsedInFolder(folder, lambda: NOW).add("../outside", NOW + 60)

    assert [each.name for each in tmp_path.iterdir()] == ["used"]
