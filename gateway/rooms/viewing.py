"""A viewer's place in a room of this process, or in its copy of one."""

from collections.abc import Iterator
from contextlib import contextmanager

from gateway.metrics import Metrics
from gateway.rooms.room import Room, Viewer
from gateway.settings import Settings


@contextmanager
def seated(room: Room, after: int, settings: Settings, metrics: Metrics) -> Iterator[Viewer]:
    """A viewer who is told what is said, and first what they have missed.

    Args:
        after: the number of the last message that they have seen; 0: none.
    """
    viewer = Viewer(room.history(after), settings.outbox_events)
    room.viewers.add(viewer)
    metrics.viewers.inc()
    try:
        yield viewer
    finally:
        room.viewers.discard(viewer)
        metrics.viewers.dec()
