"""Which tokens for one session were used: noted in this process, or in a folder of several."""

import contextlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

PRUNE_EVERY = 1000
"""Notes that are added before those of expired tokens are looked for."""
SLACK_S = 60.0
"""A file that was just made has the time of that, until it is given its own."""


class Used(Protocol):
    """Notes of used tokens, each kept until the token has expired."""

    def __contains__(self, id: str) -> bool:
        """Whether it was used."""
        ...

    def add(self, id: str, until: int) -> bool:
        """Notes it; False: somebody was quicker.

        Args:
            until: when it expires, in seconds since 1970.
        """
        ...


class UsedHere:
    """Notes of one process.

    Args:
        clock: seconds since 1970.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._until: dict[str, int] = {}
        self._prune_at = PRUNE_EVERY

    def __contains__(self, id: str) -> bool:
        return id in self._until

    def __len__(self) -> int:
        return len(self._until)

    def add(self, id: str, until: int) -> bool:
        """See `Used`."""
        if id in self._until:
            return False
        if len(self._until) >= self._prune_at:
            now = self._clock()
            self._until = {id: until for id, until in self._until.items() if until > now}
            self._prune_at = 2 * len(self._until) + PRUNE_EVERY
        self._until[id] = until
        return True


class UsedInFolder:
    """Notes that processes share: an empty file each, whose creation only one of them can win.

    Its time of modification is when the token expires.

    Args:
        folder: nobody else's.
        clock: seconds since 1970.
    """

    def __init__(self, folder: Path, clock: Callable[[], float]) -> None:
        self._folder, self._clock = folder, clock
        self._added = 0

    def __contains__(self, id: str) -> bool:
        return self._file(id).exists()

    def add(self, id: str, until: int) -> bool:
        """See `Used`."""
        file = self._file(id)
        try:
            file.touch(0o600, exist_ok=False)
        except FileExistsError:
            return False
        os.utime(file, (until, until))
        self._added += 1
        if self._added % PRUNE_EVERY == 0:
            self._prune()
        return True

    def _prune(self) -> None:
        now = self._clock()
        for file in self._folder.iterdir():
            with contextlib.suppress(FileNotFoundError):  # another process prunes too
                if file.stat().st_mtime <= now - SLACK_S:
                    file.unlink()

    def _file(self, id: str) -> Path:
        return self._folder / id.encode().hex()  # ids are our own; a name is safe by any means
