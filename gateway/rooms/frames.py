"""What goes to viewers: a message that was written once for all of them."""

from dataclasses import dataclass

SegmentKey = tuple[str, int]
"""Session and segment: a room outlives its sessions, whose segments all count from the start."""


@dataclass(frozen=True, slots=True)
class RoomFrame:
    """A message as every viewer gets it."""

    seq: int
    """Counts the room's messages, from 1; a viewer sees gaps where partials gave way."""
    text: str
    """JSON."""
    segment: SegmentKey | None = None
    is_partial: bool = False
    span: tuple[int, int] = (0, 0)
    """Of a final: start and end in ms on the room's own line of time."""
