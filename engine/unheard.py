"""Which sessions have audio that was not heard, and for how long it has been waiting."""

import time
from collections.abc import Callable

from engine.messages import SAMPLE_RATE
from engine.speech_session import SpeechSession


class Unheard:
    """Owns the queue of sessions with audio or marks to hear, one entry for each."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._since: dict[SpeechSession, float] = {}
        """When the audio came that is next to be heard; in the order of the sessions' turns."""

    def __bool__(self) -> bool:
        return bool(self._since)

    @property
    def waited_s(self) -> float:
        """For how long the audio has been waiting whose turn it is; 0: there is none.

        With more sessions than a process can listen to it waits ever longer.
        """
        return self._clock() - next(iter(self._since.values())) if self._since else 0.0

    def arrived(self, session: SpeechSession) -> None:
        """There is something to hear, or more of it."""
        if session not in self._since:
            self._since[session] = self._clock()

    def next(self) -> tuple[SpeechSession, float]:
        """Takes out the session whose turn it is, and tells since when its audio has waited."""
        session = next(iter(self._since))
        return session, self._since.pop(session)

    def heard_part(self, session: SpeechSession, since: float, samples: int) -> None:
        """More of it waits, behind ``samples`` samples that had been waiting since ``since``.

        That is taken to have come later by the length of these, or just now, where all came faster
        than in real time. Behind a pause of the sender's it has waited for less than it seems.
        """
        self._since[session] = min(self._clock(), since + samples / SAMPLE_RATE)

    def leave(self, session: SpeechSession) -> None:
        """The session is over."""
        self._since.pop(session, None)
