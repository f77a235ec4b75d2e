"""A long-running process' memory: given back when it is freed, and not searched where it stays."""

import ctypes
import gc
import time

TRIM_EVERY_S = 5.0
YOUNG_OBJECTS = 5000
"""That may have come before the garbage collector looks at them; Python's own choice is 700."""


class FreeMemory:
    """Gives freed memory back to the system now and then.

    Each segment has another length, so blocks of every size come and go in the heaps of several
    threads; glibc keeps what it cannot join, a few per cent more every hour.
    """

    def __init__(self) -> None:
        self._trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc's alone
        self._next = 0.0

    def give_back(self) -> None:
        """Takes milliseconds, at most every `TRIM_EVERY_S`; safe from several threads."""
        if self._trim is not None and time.monotonic() >= self._next:
            self._next = time.monotonic() + TRIM_EVERY_S
            self._trim(0)


def freeze_what_stays() -> None:
    """Once a process has started: its garbage collector looks only at what comes from now on.

    Modules and model are some hundred thousand objects, and going through them now and then held
    a gateway's event loop for 60 ms. It looks seldom, too: hardly anything here needs it.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS)
