"""Where a session is: what a server is told so that it can go on with it. Pure."""

from typing import Any

from gateway.client.errors import not_the_protocol
from gateway.client.replay import SAMPLE_BYTES, Replay
from gateway.client.wire import Event

HELD_MS = 30_000
"""Audio kept while there is no connection, for a server that does not say its limit."""


class Track:
    """Follows a session's messages in both directions.

    Args:
        options: that the session was opened with.
    """

    def __init__(self, options: dict[str, object]) -> None:
        self.ready: Event = {}
        self.replay = Replay()
        self.confirmed_samples = 0
        self.restarting = False
        """Whether the server said that it stops: its `done` is not the session's."""
        self._options = options
        self._wanted: dict[str, object] = {}
        """Changed since."""
        self._last_seq = self._last_segment = 0
        self._confirmed: Event = {}
        self.withheld: list[Event] = []
        """See `withholds`."""

    @property
    def resumable(self) -> bool:
        """Whether the server lets its sessions be taken up again."""
        return isinstance(self.ready.get("resume"), str)

    @property
    def limit(self) -> int:
        """Samples that may be unconfirmed at a time."""
        rate, limits = self.ready.get("sample_rate"), self.ready.get("limits")
        limit_ms = limits.get("max_unconfirmed_ms") if isinstance(limits, dict) else None
        return (rate if isinstance(rate, int) else 16_000) * (
            limit_ms if isinstance(limit_ms, int) else HELD_MS
        ) // 1000  # fmt: skip

    def audio(self, pcm: bytes) -> None:
        """Keeps audio that is to be sent."""
        in_force = {**self._in_force, **self._wanted}
        sample_bytes = SAMPLE_BYTES.get(str(in_force.get("encoding")), 2)
        channels = in_force.get("channels", 1)
        frame_bytes = sample_bytes * (channels if isinstance(channels, int) else 1)
        self.replay.audio(pcm, len(pcm) // frame_bytes)

    def configure(self, options: dict[str, object]) -> None:
        """Takes note of a change that is asked for."""
        self._wanted |= {name: each for name, each in options.items() if name != "id"}

    def hear(self, event: Event) -> None:
        """Takes note of what the server said."""
        self._last_seq = _whole(event, "seq", self._last_seq)
        match event:
            case {"type": "ready"}:
                self.ready = event
            case {"type": "final"}:
                self._last_segment = _whole(event, "segment", self._last_segment)
            case {"type": "confirmed", "samples": int(samples)}:
                self._confirmed = event
                self.confirmed_samples = max(self.confirmed_samples, samples)
                self.replay.confirm(samples, _whole(event, "finalizes", 0))
            case {"type": "error", "code": "shutting_down"}:
                self.restarting = True

    @property
    def is_cut_short(self) -> bool:
        """Whether a server that stops leaves something to say to another."""
        return self.restarting and self.resumable and self.replay.pending

    def withholds(self, event: Event) -> bool:
        """Keeps the last words of a server that stops: cut where it stopped, maybe amid a word.

        Another one goes on from what was said before them, and says the whole segment.
        """
        last = event.get("type") == "final" and event.get("reason") == "drain"
        behind = event.get("type") == "confirmed" and bool(self.withheld)
        if not (self.restarting and self.resumable and (last or behind)):
            return False
        self.withheld.append(event)
        return True

    # Coming back

    def rejoining(self) -> dict[str, object]:
        """The options that take the session up on a new connection."""
        point: dict[str, object] = {
            "session": self.ready.get("session"),
            "resume": self.ready.get("resume"),
            "epoch": self.ready.get("epoch"),
            "last_seq": self._last_seq,
            "last_segment": self._last_segment,
            "from_sample": self._confirmed.get("samples", 0),
            "checkpoint": self._confirmed.get("checkpoint"),
        }
        return {**self._options, **self._agreed, **point}

    def rejoin(self, ready: Event) -> dict[str, object]:
        """Goes on from there; the options whose change may have been lost."""
        next_sample, finalizes = ready.get("next_sample"), ready.get("finalizes")
        if not (isinstance(next_sample, int) and isinstance(finalizes, int)):
            raise not_the_protocol()
        self.hear(ready)
        self.restarting = False
        self.withheld.clear()
        self.replay.rewind(next_sample, finalizes)
        in_force = self._in_force
        return {name: each for name, each in self._wanted.items() if in_force.get(name) != each}

    @property
    def _in_force(self) -> dict[str, Any]:
        options = self.ready.get("options")
        return options if isinstance(options, dict) else {}

    @property
    def _agreed(self) -> dict[str, object]:
        """Changed options as the server has them."""
        in_force = self._in_force
        changed = {name: in_force[name] for name in self._wanted if name in in_force}
        if "language" in changed and changed["language"] is None:
            changed["language"] = "auto"
        return changed


def _whole(event: Event, name: str, otherwise: int) -> int:
    value = event.get(name)
    return value if isinstance(value, int) else otherwise
