"""What a client says that lost its connection: the options beside a session's own. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from engine.checkpoint import Checkpoint
from gateway.errors import InvalidOption, quoted

RESUMING = ("session", "resume", "epoch", "last_seq", "from_sample", "last_segment", "checkpoint")

_ID = re.compile(r"[0-9a-f]{32}", re.ASCII)
_SECRET = re.compile(r"[0-9A-Za-z_-]{1,64}", re.ASCII)
_NUMBER = re.compile(r"[0-9]{1,15}", re.ASCII)
MAX_CHECKPOINT_CHARS = 4096


@dataclass(frozen=True, slots=True)
class ResumePoint:
    """Where a session was when its connection was lost."""

    session: str
    secret: str
    """`Ready.resume`."""
    epoch: int
    last_seq: int = 0
    """The newest message that was received."""
    from_sample: int | None = None
    """The first sample that is still there, at the client's rate; None: the last confirmed."""
    last_segment: int = 0
    """The newest segment whose final was received."""
    checkpoint: Checkpoint | None = None
    """Of the newest `Confirmed`; None: there was none, or it is of another version."""


def split_resume(raw: Mapping[str, Any]) -> tuple[ResumePoint | None, dict[str, Any]]:
    """The point to resume from, if ``raw`` names a session, and the other options.

    Raises:
        InvalidOption: names the first wrong one; or some are there, but not all that are needed.
    """
    given = {name: raw[name] for name in RESUMING if name in raw}
    others = {name: value for name, value in raw.items() if name not in given}
    if not given:
        return None, others
    for name in ("session", "resume", "epoch"):
        if name not in given:
            raise InvalidOption(f"To resume, {name} is needed too: send session, resume and epoch.")
    kept = given.get("from_sample")
    return ResumePoint(
        session=_text("session", given["session"], _ID, "32 characters of 0-9 and a-f"),
        secret=_text("resume", given["resume"], _SECRET, "what ready said"),
        epoch=_number("epoch", given["epoch"]),
        last_seq=_number("last_seq", given.get("last_seq", 0)),
        from_sample=_number("from_sample", kept) if kept is not None else None,
        last_segment=_number("last_segment", given.get("last_segment", 0)),
        checkpoint=_checkpoint(given.get("checkpoint", "")),
    ), others


def _text(name: str, value: object, pattern: re.Pattern[str], expected: str) -> str:
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise InvalidOption(f"{name} must be {expected}.")
    return value


def _number(name: str, value: object) -> int:
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 10**15:
        raise InvalidOption(
            f"{name} must be a whole number from 0 to 15 digits, got {quoted(value)}."
        )
    return value


def _checkpoint(value: object) -> Checkpoint | None:
    if not isinstance(value, str) or len(value) > MAX_CHECKPOINT_CHARS:
        raise InvalidOption("checkpoint must be what confirmed said.")
    try:
        return Checkpoint.decode(value)
    except ValueError:
        return None
