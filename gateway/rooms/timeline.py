"""A room's own line of time, in ms: its sessions one after the other. No clock.

What is over on it stays as it is, so it can be cut into pieces that others may keep.
"""

PIECE_MS = 6000
"""Of the pieces that it is cut into. A session begins with a new one."""

Span = tuple[int, int]


class Timeline:
    """Where the words of a room's sessions are."""

    def __init__(self) -> None:
        self.end_ms = 0
        """Nothing that comes is placed before this."""
        self._session = ""
        self._began_ms = 0

    def place(self, session: str, start_ms: int, end_ms: int) -> Span:
        """Where a final is.

        Args:
            start_ms, end_ms: since its session began.
        """
        if session != self._session:
            self.end_session()
            self._session, self._began_ms = session, self.end_ms
        start = max(self._began_ms + start_ms, self.end_ms)
        self.end_ms = start + max(end_ms - start_ms, 0)
        return start, self.end_ms

    def end_session(self) -> None:
        """What was said last ends with its piece."""
        self.end_ms += -self.end_ms % PIECE_MS

    def state(self) -> tuple[int, str, int]:
        """All that it knows, for `restore`."""
        return self.end_ms, self._session, self._began_ms

    def restore(self, state: tuple[int, str, int]) -> None:
        """Goes on where another's `state` was taken."""
        self.end_ms, self._session, self._began_ms = state
