"""A gateway session's handle on the engine."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from engine.messages import Pcm
from engine.segment import StreamOptions
from engine.stream import Stream
from engine.transcript import CloseReason, Event


class Listener(Protocol):
    """Whoever a session's events are for. Neither method may block."""

    def hear(self, events: Sequence[Event]) -> None:
        """Takes events, in order."""
        ...

    def broken(self) -> None:
        """The session came to an end through a fault of ours; no events follow.

        Called while the exception is handled: whoever knows whose session it is can log it.
        """
        ...


class Engine(Protocol):
    """What a session needs of the worker that owns it."""

    def audio_arrived(self, session: "SpeechSession") -> None:
        """There is something to hear."""
        ...

    def said(self, session: "SpeechSession", events: Sequence[Event]) -> None:
        """Events went out."""
        ...

    def discard(self, session: "SpeechSession") -> None:
        """The session is over."""
        ...


@dataclass(slots=True, eq=False)
class SpeechSession:
    """A gateway session's handle on the engine."""

    stream: Stream
    _engine: Engine
    _listener: Listener
    over: bool = False
    """No more events go out."""
    said_cadence: int = 0
    """The stretched cadence that the client was last told of; 0: none."""
    on_progress: Callable[[], object] = lambda: None
    """Called when audio was heard or a step came back, behind the events of it."""
    background: bool = field(init=False)
    """See `StreamOptions.background`."""

    def __post_init__(self) -> None:
        self.background = self.stream.options.background

    @property
    def received(self) -> int:
        """Samples pushed."""
        return self.stream.received

    @property
    def unconfirmed(self) -> int:
        """Samples pushed that are neither in a final nor silence."""
        return self.stream.unconfirmed

    @property
    def idle(self) -> bool:
        """Whether nothing can happen before more audio comes."""
        return self.stream.idle

    def push(self, pcm: Pcm) -> int:
        """Appends 16 kHz samples, shape ``(n,)``; returns what is `unconfirmed` then."""
        unconfirmed = self.stream.push(pcm)
        self._engine.audio_arrived(self)
        return unconfirmed

    def close_segment(self, reason: CloseReason, id: str | None = None) -> None:
        """Closes the open segment behind what was pushed; ``stop``, ``drain`` end the session."""
        self.stream.mark(reason, id)
        self._engine.audio_arrived(self)

    def update(self, options: StreamOptions) -> None:
        """Changes language, context, endpoint and partials from now on."""
        self.stream.update(options)

    def discard(self) -> None:
        """Ends the session without finals."""
        self._engine.discard(self)

    def emit(self) -> None:
        """Hands the gathered events over."""
        if self.stream.events and not self.over:
            events = self.stream.take_events()
            self._listener.hear(events)
            self._engine.said(self, events)
        if not self.over:
            self.on_progress()

    def break_off(self) -> None:
        """Ends the session because of the exception that is being handled."""
        self.discard()
        self._listener.broken()


class Isolated:
    """``with``: a fault inside ends this session; the worker and the others go on.

    At the end what was gathered is said. A class, as this is on the path of every message.
    """

    __slots__ = ("_session",)

    def __init__(self, session: SpeechSession) -> None:
        self._session = session

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, *fault: object) -> bool:
        if kind is None:
            try:
                self._session.emit()
            except Exception:
                self._session.break_off()
        elif issubclass(kind, Exception):
            self._session.break_off()
            return True
        return False
