"""API keys: what is kept of them, where they come from, and how they are compared."""

import hmac
import json
import stat
from pathlib import Path
from typing import Any

import pytest

from gateway.access import keys
from gateway.access.keys import (
    Key,
    KeyRing,
    KeysError,
    add_key,
    digest_of,
    load_keys,
    new_key,
    read_key_file,
    remove_key,
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "keys.json"


def test_a_new_key_has_256_random_bits_and_a_prefix() -> None:
    made = {new_key() for _ in range(100)}

    assert len(made) == 100
    assert all(key.startswith("swk_") and len(key) == 4 + 43 for key in made)


def test_the_file_has_no_key_in_it_and_is_for_its_owner(file: Path) -> None:
    key = add_key(file, "alice", 3, 90)

    assert key not in file.read_text()
    assert json.loads(file.read_text()) == {
        "alice": {
            "sha256": digest_of(key).hex(),
            "max_sessions": 3,
            "audio_minutes_per_day": 90,
        }
    }
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [each.name for each in file.parent.iterdir()] == ["keys.json"]


def test_a_key_is_found_by_what_it_is(file: Path) -> None:
    alice, bob = add_key(file, "alice", 3, None), add_key(file, "bob", None, 0.5)
    ring = load_keys(str(file), "")

    assert ring.find(alice) == Key("alice", digest_of(alice), max_sessions=3)
    assert ring.find(bob) == Key("bob", digest_of(bob), audio_minutes_per_day=0.5)
    for wrong in (alice[:-1], alice + "x", alice.upper(), "", "alice", digest_of(alice).hex(), "é"):
        assert ring.find(wrong) is None


def test_a_key_that_is_taken_out_is_not_found(file: Path) -> None:
    alice, bob = add_key(file, "alice", None, None), add_key(file, "bob", None, None)
    remove_key(file, "alice")
    ring = load_keys(str(file), "")

    assert ring.find(alice) is None
    assert ring.find(bob) is not None


def test_a_name_that_is_given_again_is_not_the_same_key() -> None:
    before, after = Key("alice", digest_of("a")), Key("alice", digest_of("b"))
    changed = Key("alice", digest_of("a"), max_sessions=7)

    assert not KeyRing([after]).holds(before)
    assert not KeyRing([]).holds(before)
    assert KeyRing([changed]).holds(before)


@pytest.mark.parametrize("which", ["first", "last", "none"])
def test_comparing_takes_the_same_steps_whichever_key_it_is(
    monkeypatch: pytest.MonkeyPatch, which: str
) -> None:
    """So that the time says nothing: every digest is compared, each in constant time."""
    secrets = [new_key() for _ in range(5)]
    ring = KeyRing(Key(f"k{i}", digest_of(secret)) for i, secret in enumerate(secrets))
    compared: list[tuple[bytes, bytes]] = []

    def recording(a: Any, b: Any) -> bool:
        compared.append((a, b))
        return hmac.compare_digest(a, b)

    monkeypatch.setattr(keys, "hmac", type("Recording", (), {"compare_digest": recording}))
    shown = {"first": secrets[0], "last": secrets[-1], "none": new_key()}[which]
    found = ring.find(shown)

    assert (found is None) == (which == "none")
    assert len(compared) == 5
    assert all(len(a) == len(b) == 32 for a, b in compared)


def test_keys_of_the_environment_are_keys_or_digests() -> None:
    plain, hidden = new_key(), new_key()
    ring = load_keys("", f" {plain} , sha256:{digest_of(hidden).hex()},")

    assert [ring.find(key).name for key in (plain, hidden)] == ["env1", "env2"]  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("listed", "words"),
    [
        ("hunter2", "key 1 of SCRIBEWIRE_API_KEYS is none"),
        ("x" * 30 + ",two words of a sentence, quoted", "key 2 of SCRIBEWIRE_API_KEYS is none"),
        ("sha256:abc", "key 1 of SCRIBEWIRE_API_KEYS is none"),
        ("x" * 30 + "," + "x" * 30, "a key is given twice"),
    ],
)
def test_what_is_no_key_refuses_to_start_and_is_not_repeated(listed: str, words: str) -> None:
    with pytest.raises(KeysError) as refusal:
        load_keys("", listed)

    assert words in str(refusal.value)
    assert listed not in str(refusal.value)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "is not one (at its beginning)"),
        ("[]", "is not one (at its beginning)"),
        ('{"alice": {"sha256": "abc"}}', "is not one (at alice.sha256)"),
        ('{"alice": {"key": "swk_1"}}', "is not one (at alice.sha256)"),
        ('{"a b": {"sha256": "%s"}}' % ("0" * 64), "is not one (at a b"),
        ('{"a": {"sha256": "%s", "max_sessions": 0}}' % ("0" * 64), "(at a.max_sessions)"),
    ],
)
def test_a_file_that_is_none_is_one_sentence(file: Path, content: str, words: str) -> None:
    file.write_text(content)

    with pytest.raises(KeysError) as refusal:
        read_key_file(file)
    assert words in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_file_that_is_not_there_is_one_sentence(file: Path) -> None:
    with pytest.raises(KeysError, match=r"cannot be read \(No such file"):
        load_keys(str(file), "")
    with pytest.raises(KeysError, match="cannot be written"):
        add_key(file / "below", "alice", None, None)


def test_a_name_is_one_word_and_given_once(file: Path) -> None:
    add_key(file, "alice", None, None)

    with pytest.raises(KeysError, match="there is a key alice already"):
        add_key(file, "alice", None, None)
    with pytest.raises(KeysError, match="a name is 1 to 64"):
        add_key(file, "../alice", None, None)
    with pytest.raises(KeysError, match="there is no key bob"):
        remove_key(file, "bob")
