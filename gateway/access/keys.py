"""API keys: what is known of them is a SHA-256 digest, in a file or in memory.

A key has 256 random bits, so its plain digest cannot be guessed back; salt and a slow hash are for
passwords, which people choose, and would make each handshake slow.
"""

import hashlib
import hmac
import json
import os
import re
import secrets
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

KEY_PREFIX = "swk_"
"""By which secret scanners, and people, know a key when they see one."""
DIGEST_PREFIX = "sha256:"
MIN_KEY_CHARS, MAX_KEY_CHARS = 24, 200

_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}"
# RFC 7230's token, less what separates: a key must also fit where browsers can put it.
_KEY = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", re.ASCII)


class KeysError(Exception):
    """Keys cannot be had; the message is one sentence that says what to do."""


class KeyRecord(BaseModel):
    """A key as its file has it. None: the setting for all keys applies."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    max_sessions: Annotated[int | None, Field(ge=1)] = None
    audio_minutes_per_day: Annotated[float | None, Field(ge=0, allow_inf_nan=False)] = None
    admin: bool = False


_FILE = TypeAdapter(dict[Annotated[str, Field(pattern=f"^{_NAME}$")], KeyRecord])


@dataclass(frozen=True, slots=True)
class Key:
    """One key: whose it is and what it may use up; not the key itself."""

    name: str
    digest: bytes
    max_sessions: int | None = None
    audio_minutes_per_day: float | None = None
    admin: bool = False
    """Whether it may also end the gateway."""


class KeyRing:
    """The keys that are valid."""

    def __init__(self, keys: Iterable[Key] = ()) -> None:
        self._by_name = {key.name: key for key in keys}

    def __len__(self) -> int:
        return len(self._by_name)

    def find(self, secret: str) -> Key | None:
        """The key that ``secret`` is. Takes as long whichever it is, and if it is none."""
        digest = digest_of(secret)
        found = None
        for key in self._by_name.values():
            if hmac.compare_digest(key.digest, digest):
                found = key
        return found

    def named(self, name: str) -> Key | None:
        """The key of that name."""
        return self._by_name.get(name)

    def holds(self, key: Key) -> bool:
        """Whether the key, perhaps with other limits, is still valid."""
        known = self._by_name.get(key.name)
        return known is not None and hmac.compare_digest(known.digest, key.digest)


def new_key() -> str:
    """A fresh key."""
    return KEY_PREFIX + secrets.token_urlsafe(32)


def digest_of(secret: str) -> bytes:
    """What is kept of a key, or compared with it."""
    return hashlib.sha256(secret.encode(errors="replace")).digest()


def load_keys(file: str, listed: str) -> KeyRing:
    """The keys of a file and of a list.

    Args:
        file: path of a key file; empty: none.
        listed: keys, or their digests as ``sha256:HEX``, with commas between them; they are
            called ``env1``, ``env2`` …

    Raises:
        KeysError: they cannot be read, or a key is none.
    """
    keys = [
        Key(name, bytes.fromhex(each.sha256), **each.model_dump(exclude={"sha256"}))
        for name, each in (read_key_file(Path(file)) if file else {}).items()
    ]
    texts = [text.strip() for text in listed.split(",") if text.strip()]
    keys += [Key(f"env{i}", _listed(text, i)) for i, text in enumerate(texts, 1)]
    if len({key.digest for key in keys}) < len(keys) or len({key.name for key in keys}) < len(keys):
        raise KeysError("a key is given twice; leave one of them out")
    return KeyRing(keys)


def _listed(text: str, number: int) -> bytes:
    digest = text.removeprefix(DIGEST_PREFIX)
    if text.startswith(DIGEST_PREFIX) and re.fullmatch("[0-9a-f]{64}", digest):
        return bytes.fromhex(digest)
    if not MIN_KEY_CHARS <= len(text) <= MAX_KEY_CHARS or not _KEY.fullmatch(text):
        raise KeysError(
            f"key {number} of SCRIBEWIRE_API_KEYS is none: {MIN_KEY_CHARS} to {MAX_KEY_CHARS} "
            "letters, digits and signs are needed; `scribewire keys add NAME` makes a good one"
        )
    return digest_of(text)


def read_key_file(path: Path) -> dict[str, KeyRecord]:
    """The records of a key file, by name.

    Raises:
        KeysError: there is no such file, or it is not a key file.
    """
    try:
        return _FILE.validate_json(path.read_bytes())
    except OSError as error:
        raise KeysError(
            f"the key file {path} cannot be read ({error.strerror}); "
            "`scribewire keys add NAME` makes one"
        ) from None
    except ValidationError as error:
        where = ".".join(str(part) for part in error.errors(include_url=False)[0]["loc"])
        raise KeysError(
            f"the key file {path} is not one (at {where or 'its beginning'}); "
            "`scribewire keys` writes it"
        ) from None


def write_key_file(path: Path, records: dict[str, KeyRecord]) -> None:
    """Replaces the file as a whole, so that a server never reads half of it; mode 0600.

    Raises:
        KeysError: it cannot be written.
    """
    text = json.dumps(
        {name: each.model_dump(exclude_defaults=True) for name, each in records.items()}, indent=2
    )
    try:
        handle, temporary = tempfile.mkstemp(prefix=path.name, dir=path.parent)
        with os.fdopen(handle, "w") as file:
            file.write(text + "\n")
        os.replace(temporary, path)
    except OSError as error:
        raise KeysError(f"the key file {path} cannot be written ({error.strerror})") from None


def add_key(
    path: Path, name: str, max_sessions: int | None, minutes: float | None, *, admin: bool = False
) -> str:
    """Makes a key, writes its digest to the file, and returns it: it is shown this once.

    Raises:
        KeysError: the name is none or taken, or the file cannot be read or written.
    """
    if not re.fullmatch(_NAME, name):
        raise KeysError("a name is 1 to 64 letters, digits, dots, dashes and underscores")
    records = read_key_file(path) if path.exists() else {}
    if name in records:
        raise KeysError(f"there is a key {name} already; `scribewire keys remove {name}` first")
    key = new_key()
    record = KeyRecord(
        sha256=digest_of(key).hex(), max_sessions=max_sessions, audio_minutes_per_day=minutes,
        admin=admin,
    )  # fmt: skip
    write_key_file(path, records | {name: record})
    return key


def remove_key(path: Path, name: str) -> None:
    """Takes a key out of the file.

    Raises:
        KeysError: there is none of that name, or the file cannot be read or written.
    """
    records = read_key_file(path)
    if records.pop(name, None) is None:
        raise KeysError(f"there is no key {name} in {path}")
    write_key_file(path, records)
