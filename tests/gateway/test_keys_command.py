"""``scribewire keys``: makes a key, shows it once, and says what to do next."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from gateway.access.keys import load_keys
from gateway.cli import app


def run(*arguments: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr."""
    result = CliRunner().invoke(app, ["keys", *arguments], env={"COLUMNS": "200", "TERM": "dumb"})
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout, result.stderr


@pytest.fixture
def file(tmp_path: Path) -> str:
    return str(tmp_path / "keys.json")


def test_a_key_is_made_and_its_holder_listed(file: str) -> None:
    code, key, advice = run("add", "alice", "--file", file, "--sessions", "3")
    _, _, _ = run("add", "bob", "--file", file, "--minutes-per-day", "90.5")
    _, listed, _ = run("list", "--file", file)

    assert code == 0
    found = load_keys(file, "").find(key.strip())
    assert found is not None
    assert (found.name, found.max_sessions) == ("alice", 3)
    assert "cannot be shown again" in advice
    assert f"--keys-file {file}" in advice
    assert listed == "alice max_sessions=3\nbob audio_minutes_per_day=90.5\n"
    assert key.strip() not in listed


def test_an_operators_key_is_told_from_others(file: str) -> None:
    run("add", "alice", "--file", file)
    _, key, _ = run("add", "ops", "--admin", "--file", file)
    _, listed, _ = run("list", "--file", file)

    found = load_keys(file, "").find(key.strip())
    assert found is not None
    assert found.admin
    assert listed == "alice\nops admin\n"


def test_a_key_is_withdrawn(file: str) -> None:
    _, key, _ = run("add", "alice", "--file", file)
    code, out, advice = run("remove", "alice", "--file", file)

    assert (code, out) == (0, "")
    assert "SIGHUP" in advice
    assert load_keys(file, "").find(key.strip()) is None


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("remove", "bob"), "there is no key bob"),
        (("add", "alice"), "there is a key alice already"),
        (("add", "a b"), "a name is 1 to 64"),
    ],
)
def test_what_goes_wrong_is_a_sentence(file: str, arguments: tuple[str, ...], words: str) -> None:
    run("add", "alice", "--file", file)
    code, out, err = run(*arguments, "--file", file)

    assert (code, out) == (1, "")
    assert err.startswith("scribewire: ")
    assert words in err


def test_without_a_file_there_is_nothing_to_list(file: str) -> None:
    code, _, err = run("list", "--file", file)

    assert code == 1
    assert "cannot be read" in err
