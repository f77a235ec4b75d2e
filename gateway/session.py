"""One session's side of the conversation: client messages in, server messages out. Pure.

Every protocol's codec talks to this; nothing else decides what a client is told.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from engine import transcript as heard
from engine.messages import SAMPLE_RATE, ModelInfo, Pcm, ms_to_samples, samples_to_ms
from engine.segment import StreamOptions
from gateway.audio import PcmDecoder
from gateway.continuing import Beginning, replay_from
from gateway.errors import (
    AudioBacklog,
    EngineFailed,
    GatewayError,
    InvalidMessage,
    as_fields,
)
from gateway.wire.messages import (
    AudioFrame,
    ClientMessage,
    Configure,
    Confirmed,
    Done,
    ErrorMessage,
    Final,
    Finalize,
    Notice,
    Partial,
    Ping,
    Pong,
    Ready,
    ServerMessage,
    SpeechEnded,
    SpeechStarted,
    Stop,
    Suppressed,
    UtteranceEnded,
)
from gateway.wire.options import IN_CONTAINERS, SessionOptions, parse_options, update_options
from gateway.wire.stream_options import to_stream_options


class Speech(Protocol):
    """The engine's end of a session; `engine.worker.SpeechSession` is one."""

    @property
    def received(self) -> int:
        """Samples pushed."""
        ...

    def push(self, pcm: Pcm) -> int:
        """Appends 16 kHz samples; returns how many now are neither in a final nor silence."""
        ...

    def close_segment(self, reason: heard.CloseReason, id: str | None = None) -> None:
        """Closes the open segment behind what was pushed."""
        ...

    def update(self, options: StreamOptions) -> None:
        """Changes what may change in a running session."""
        ...


class OpenSpeech(Protocol):
    """Begins the engine's part of a session."""

    def __call__(self, options: StreamOptions) -> Speech: ...


@dataclass(frozen=True, slots=True)
class Identity:
    """What names a session, and who may take it up again."""

    id: str
    epoch: int = 1
    """Names this process's part of it."""
    secret: str | None = None
    """None: it ends with its connection."""


CONFIRM_SLACK_MS = 2000
"""So much later than it might a sample may be confirmed."""


class Session:
    """Options, clock and counts of one session; the audio and its text are the engine's."""

    def __init__(
        self, identity: Identity, options: SessionOptions, model: ModelInfo,
        limits: dict[str, Any], open_speech: OpenSpeech, beginning: Beginning | None = None,
    ) -> None:  # fmt: skip
        """
        Args:
            limits: told to the client; ``max_backlog_ms`` is enforced here.
            open_speech: called once, with the options in force, when the first audio or the end
                comes: until then options may change.
            beginning: of a session that began in another process; its options are in force at once.

        Raises:
            InvalidOption: the model does not know the language.
            Unsupported: the options ask for what the model does not have.
        """
        self.id, self._identity = identity.id, identity
        self._model, self._limits = model, limits
        self._adopt(options)
        self._open_speech = open_speech
        self._speech: Speech | None = None
        self._stream_options = to_stream_options(options, model)
        self._decoder = _decoder(options)
        self._beginning = beginning
        self._finalizes = 0
        if beginning is not None:
            self._go_on_from(beginning)
        self._stopped = False
        """Whether the client said so; what ends it otherwise the client cannot know yet."""
        self.ended_by: heard.CloseReason | None = None
        """Why `end` was called; None: it was not."""
        self.totals = {"partials": 0, "finals": 0, "revised": 0, "suppressed": 0}

    def _go_on_from(self, beginning: Beginning) -> None:
        rates = self._decoder.sample_rate, self.options.sample_rate
        self._decoder.samples_in = -(-beginning.next_sample * rates[0] // rates[1])
        self._decoder.samples_out = beginning.start
        self._finalizes = beginning.checkpoint.finalizes
        self._engine()

    @property
    def _max_unconfirmed_ms(self) -> int:
        backlog_ms: int = self._limits["max_backlog_ms"]
        return self.options.max_segment_ms + backlog_ms + CONFIRM_SLACK_MS

    def _adopt(self, options: SessionOptions) -> None:
        self.options = options
        self._max_unconfirmed = ms_to_samples(self._max_unconfirmed_ms)

    # What the client says

    def resumed(self) -> Ready:
        """The first message on a new connection; the events that were missed follow it."""
        return replace(self._ready(), resumed=True)

    def _ready(self) -> Ready:
        return Ready(
            epoch=self._identity.epoch,
            model=self._model.name,
            sample_rate=self.options.sample_rate,
            options=self.options.model_dump(),
            limits=self._limits | {"max_unconfirmed_ms": self._max_unconfirmed_ms},
            next_sample=self.next_sample,
            finalizes=self._finalizes,
            resume=self._identity.secret,
        )

    def ready(self) -> list[ServerMessage]:
        """The first message, and again after each `Configure`: the options in force."""
        messages: list[ServerMessage] = [self._ready()]
        if self._beginning is not None and self._beginning.gap_ms is not None:
            messages.append(_gap(*self._beginning.gap_ms))
        if self.options.context and not self._model.context:
            messages.append(
                Notice("ignored_option", f"context has no effect with {self._model.name}.")
            )
        return messages

    def receive(self, message: ClientMessage) -> list[ServerMessage]:
        """Takes a client's message; what there is to answer at once.

        Raises:
            GatewayError: what was wrong; `recoverable` says whether the session goes on.
        """
        if self._stopped and isinstance(message, Stop):
            return []  # sent again on a new connection
        if self._stopped:
            raise InvalidMessage("Nothing may follow stop: open a new session.")
        if self.ended_by is not None:
            return []  # the client cannot know yet; what it sends is not confirmed, so not lost
        if isinstance(message, AudioFrame):
            return self._audio(message.pcm)
        match message:
            case Configure(options, id):
                return self._configure(options, id)
            case Finalize(id):
                self._finalizes += 1
                speech = self._engine()
                if len(held := self._decoder.settle()):
                    speech.push(held)
                speech.close_segment("finalize", id)
                return []
            case Ping(id):
                return [Pong(id)]
            case Stop():
                self._stopped = True
                self.end("stop")
                return []

    def check_audio(self, pcm: bytes) -> None:
        """Whether a whole message of audio can be decoded, before any of it is.

        Raises:
            InvalidAudio: it cannot.
        """
        self._decoder.check(pcm)

    def _audio(self, pcm: bytes) -> list[ServerMessage]:
        unconfirmed = self._engine().push(self._decoder.decode(pcm))
        if unconfirmed > self._max_unconfirmed:
            raise AudioBacklog()
        if self._decoder.take_clipped():
            return [Notice("clipped", "The audio is clipped: lower the microphone's gain.")]
        return []

    def _configure(self, raw: dict[str, Any], id: str | None) -> list[ServerMessage]:
        change = update_options if self._speech is not None else _reconfigure
        try:
            options = change(self.options, raw, max_segment_ms=self._model.max_segment_ms)
            stream_options = to_stream_options(options, self._model)
        except GatewayError as error:
            error.id = id
            raise
        self._adopt(options)
        self._stream_options = stream_options
        if self._speech is not None:
            self._speech.update(stream_options)
        else:
            self._decoder = _decoder(options)
        return self.ready()

    def _engine(self) -> Speech:
        if self._speech is None:
            self._speech = self._open_speech(self._stream_options)
        return self._speech

    def end(self, reason: heard.CloseReason) -> None:
        """Finalizes; the engine's last event becomes `Done`."""
        if self.ended_by is None:
            self.ended_by = reason
            speech, held = self._engine(), self._decoder.flush()
            if reason == "drain":  # where the session goes on, other samples come of what was held
                speech.close_segment(reason)
                speech.push(held)
            else:
                speech.push(held)
                speech.close_segment(reason)

    @property
    def next_sample(self) -> int:
        """What the client is to send next."""
        rates = self._decoder.sample_rate, self.options.sample_rate
        return self._decoder.samples_in * rates[1] // rates[0]

    @property
    def audio_s(self) -> float:
        """Seconds of audio received."""
        return self._decoder.samples_in / self._decoder.sample_rate

    # What the engine says

    def news(self, events: Sequence[heard.Event]) -> list[heard.Event]:
        """Those that the client does not know from another process."""
        seen = self._beginning.seen if self._beginning is not None else 0
        return [event for event in events if getattr(event, "segment", seen + 1) > seen]

    def translate(self, events: Sequence[heard.Event]) -> list[ServerMessage]:
        """Messages for the client, in order."""
        return [self._translate(event) for event in events]

    def _translate(self, event: heard.Event) -> ServerMessage:
        match event:
            case heard.SpeechStarted(at, segment):
                return SpeechStarted(samples_to_ms(at), segment)
            case heard.SpeechEnded(at, segment):
                return SpeechEnded(samples_to_ms(at), segment)
            case heard.UtteranceEnded(at):
                return UtteranceEnded(samples_to_ms(at))
            case heard.Partial():
                return self._partial(event)
            case heard.Final():
                return self._final(event)
            case heard.Suppressed(segment, reason, start, end):
                self.totals["suppressed"] += 1
                return Suppressed(segment, reason, samples_to_ms(start), samples_to_ms(end))
            case heard.Confirmed(upto, checkpoint):
                return Confirmed(self._replayed(upto), checkpoint.finalizes, checkpoint.encode())
            case heard.Overloaded(cadence_ms):
                return Notice(
                    "overloaded",
                    f"The server is busy: partials come every {cadence_ms} ms for now.",
                    cadence_ms=cadence_ms,
                )
            case heard.SegmentFailed(segment):
                error = EngineFailed(
                    f"Segment {segment} could not be transcribed; the session goes on."
                )
                return ErrorMessage(**as_fields(error), segment=segment)
            case heard.Finished(samples, segments):
                return Done(samples_to_ms(samples), segments, self.totals)

    def _replayed(self, upto: int) -> int:
        """The first sample of a replay, at the client's rate."""
        assert self._speech is not None
        if self.ended_by is not None and upto >= self._speech.received:
            return self.next_sample  # the end: there is nothing to replay
        return replay_from(upto, self.options.sample_rate)

    def _partial(self, event: heard.Partial) -> Partial:
        self.totals["partials"] += 1
        assert self._speech is not None
        return Partial(
            segment=event.segment,
            revision=event.revision,
            stable=event.stable,
            unstable=event.unstable,
            start_ms=samples_to_ms(event.start),
            end_ms=samples_to_ms(event.end),
            language=event.language,
            lag_ms=samples_to_ms(self._speech.received - event.end),
        )

    def _final(self, event: heard.Final) -> Final:
        self.totals["finals"] += 1
        self.totals["revised"] += event.revised
        return Final(
            segment=event.segment,
            text=event.text,
            revised=event.revised,
            start_ms=samples_to_ms(event.start),
            end_ms=samples_to_ms(event.end),
            language=event.language,
            reason=event.reason,
            confidence=event.confidence,
            words=None if event.words is None else tuple(word._asdict() for word in event.words),
            id=event.id,
        )


def _decoder(options: SessionOptions) -> PcmDecoder:
    if options.encoding in IN_CONTAINERS:  # whoever takes it apart gives what is in it
        return PcmDecoder("pcm_f32le", SAMPLE_RATE, 1)
    return PcmDecoder(options.encoding, options.sample_rate, options.channels)


def _reconfigure(
    current: SessionOptions, raw: dict[str, Any], *, max_segment_ms: int
) -> SessionOptions:
    return parse_options(raw, max_segment_ms=max_segment_ms, base=current)


def _gap(from_ms: int, to_ms: int) -> Notice:
    return Notice(
        "audio_gap",
        f"The audio from {from_ms} to {to_ms} ms was lost with the connection.",
        from_ms=from_ms,
        to_ms=to_ms,
    )
