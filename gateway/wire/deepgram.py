"""Deepgram live transcription at ``/v1/listen``: as `deepgram-sdk` speaks it."""

import hashlib
import uuid
from collections import deque
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from gateway.audio import frame_bytes
from gateway.errors import (
    GatewayError,
    IdleTimeout,
    InvalidMessage,
    InvalidOption,
    Unsupported,
    quoted,
)
from gateway.wire.codec import Closing, Frame, Handshake, Host, Keepalive, Opening
from gateway.wire.deepgram_options import Listening, context_of, read_query
from gateway.wire.deepgram_words import Word, aligned_words, timed_words
from gateway.wire.messages import (
    AudioFrame,
    ClientMessage,
    Configure,
    Done,
    ErrorMessage,
    Final,
    Finalize,
    Outgoing,
    Partial,
    Reply,
    SpeechEnded,
    SpeechStarted,
    Stop,
    UtteranceEnded,
)
from gateway.wire.options import IN_CONTAINERS
from gateway.wire.strict_json import dump_json, parse_json

TIMEOUT_S = 10.0
"""Without audio or text; the vendor's."""
SUBPROTOCOLS = ("token", "bearer")
"""In front of a key, from browsers."""
FROM_FINALIZE = "Finalize"
"""Id of a client's `Finalize`."""

_CHANNEL = [0, 1]
"""The first of one: channels are mixed down."""

Event = dict[str, Any]


class DeepgramCodec:
    """See `Codec`."""

    keepalive = Keepalive(first_s=TIMEOUT_S, idle_s=TIMEOUT_S)

    def __init__(self, host: Host, listening: Listening) -> None:
        self._host, self._listening = host, listening
        self._request_id = str(uuid.UUID(hex=host.session))
        self._model_uuid = str(uuid.uuid5(uuid.NAMESPACE_URL, host.model.name))
        options = listening.options
        encoding = options["encoding"]
        self._frame_bytes = (
            1 if encoding in IN_CONTAINERS else frame_bytes(encoding, options["channels"])
        )
        self._rest = b""
        """Part of a sample: what comes is a stream of bytes, wherever it is parted."""
        self._hash = hashlib.sha256()
        self._stopped = False
        self._onset_ms: dict[int, int] = {}
        self._end_ms: dict[int, int] = {}
        """Where the speech of segments without a final begins, and ends if it has."""
        self._done = 0
        """The last segment whose final was told."""
        self._held: deque[tuple[int, Event]] = deque()
        """Ends of utterances, behind the segments whose finals must come before."""

    # Client to session

    def decode(self, frame: Frame) -> Sequence[ClientMessage | Reply]:
        """See `Codec.decode`; an empty binary frame is the vendor's first form of CloseStream."""
        if self._stopped:
            return []  # keepalives of a client's timer, for example
        if isinstance(frame, bytes):
            return self._audio(frame) if frame else self._stop()
        if len(frame) > self._host.max_control_bytes:
            raise InvalidMessage(
                f"A text message must have at most {self._host.max_control_bytes} bytes."
            )
        message = parse_json(frame)
        if not isinstance(message, dict):
            raise InvalidMessage(f"A text message must be a map, got {quoted(message)}.")
        match message.get("type"):
            case "KeepAlive":
                return []
            case "Finalize":
                if message.get("channel") not in (None, 0):
                    raise InvalidOption("channel must be 0: channels are mixed down.")
                return [Finalize(FROM_FINALIZE)]
            case "CloseStream":
                return self._stop()
            case "Configure":
                return self._configure(message)
            case other:
                raise InvalidMessage(
                    f"{quoted(other)} is not a type of message; known are KeepAlive, Finalize, "
                    "CloseStream, Configure."
                )

    def _audio(self, data: bytes) -> Sequence[ClientMessage]:
        self._hash.update(data)
        data = self._rest + data
        whole = len(data) - len(data) % self._frame_bytes
        self._rest = data[whole:]
        return [AudioFrame(data[:whole])] if whole else []

    def _stop(self) -> Sequence[ClientMessage]:
        self._stopped = True
        return [Stop()]

    def _configure(self, message: dict[str, Any]) -> Sequence[ClientMessage | Reply]:
        """New keyterms; a failure leaves all as it was."""
        terms, reply = message.get("keyterms"), {"request_id": self._request_id}
        if terms is None:
            return [Reply({"type": "ConfigureSuccess", **reply})]
        code = "CONFIGURE_KEYTERMS_NOT_SUPPORTED"
        description = f"{self._host.model.name} does not listen to keyterms."
        if self._host.model.context:
            try:
                context = context_of(terms if isinstance(terms, list) else [terms])
            except InvalidOption as error:
                code, description = "CONFIGURE_KEYTERM_LIMIT_EXCEEDED", error.message
            else:
                success = {"type": "ConfigureSuccess", "keyterms": terms, **reply}
                return [Configure({"context": context}, None), Reply(success)]
        failure = {"type": "ConfigureFailure", "code": code, "description": description}
        return [Reply(failure | reply)]

    # Session to client

    def encode(self, message: Outgoing) -> Sequence[Frame]:
        """See `Codec.encode`."""
        return [dump_json(event) for event in self._events(message)]

    def _events(self, message: Outgoing) -> Sequence[Event | Mapping[str, Any]]:
        match message:
            case Reply(body):
                return [body]
            case SpeechStarted(at_ms, segment):
                self._onset_ms[segment] = at_ms
                started = {"type": "SpeechStarted", "channel": _CHANNEL, "timestamp": at_ms / 1000}
                return [started] if self._listening.vad_events else []
            case SpeechEnded(at_ms, segment):
                if segment > self._done:
                    self._end_ms[segment] = at_ms
                return []
            case UtteranceEnded(at_ms):
                ended = {"type": "UtteranceEnd", "channel": _CHANNEL, "last_word_end": at_ms / 1000}
                self._held.append((max(self._end_ms, default=0), ended))
                return self._release()
            case Partial():
                return [self._interim(message)]
            case Final():
                return self._final(message)
            case ErrorMessage():
                return [_error_event(message)]
            case Done(duration_ms):
                return [self._metadata(duration_ms)]
        return []

    def _interim(self, partial: Partial) -> Event:
        text = partial.stable + partial.unstable
        start_ms = self._onset_ms.get(partial.segment, partial.start_ms)
        words = timed_words(text, start_ms, partial.end_ms, 0.0)
        return self._results(partial, text, words, 0.0) | {
            "is_final": False, "speech_final": False, "from_finalize": False,
        }  # fmt: skip

    def _final(self, final: Final) -> Sequence[Event]:
        self._done, confidence = final.segment, final.confidence or 0.0
        start_ms = self._onset_ms.pop(final.segment, final.start_ms)
        end_ms = max(start_ms, self._end_ms.pop(final.segment, final.end_ms))
        words = (
            aligned_words(final.text, final.words, confidence)
            if final.words
            else timed_words(final.text, start_ms, end_ms, confidence)
        )
        results = self._results(final, final.text, words, confidence) | {
            "is_final": True,
            "speech_final": final.reason != "length",
            "from_finalize": final.id == FROM_FINALIZE,
        }
        return [results, *self._release()]

    def _release(self) -> Sequence[Event]:
        """Ends of utterances whose finals have all been told."""
        released = []
        while self._held and self._held[0][0] <= self._done:
            released.append(self._held.popleft()[1])
        return released

    def _results(
        self, said: Partial | Final, text: str, words: list[Word], confidence: float
    ) -> Event:
        alternative: Event = {"transcript": text.strip(), "confidence": confidence, "words": words}
        if said.language is not None and self._listening.options["language"] is None:
            alternative["languages"] = [said.language]
        name = self._host.model.name
        return {
            "type": "Results",
            "channel_index": _CHANNEL,
            "start": said.start_ms / 1000,
            "duration": (said.end_ms - said.start_ms) / 1000,
            "channel": {"alternatives": [alternative]},
            "metadata": {
                "request_id": self._request_id,
                "model_info": {"name": name, "version": "", "arch": name},
                "model_uuid": self._model_uuid,
            },
        }

    def _metadata(self, duration_ms: int) -> Event:
        created = datetime.fromtimestamp(self._host.opened_at, UTC)
        name = self._host.model.name
        return {
            "type": "Metadata",
            "transaction_key": "deprecated",
            "request_id": self._request_id,
            "sha256": self._hash.hexdigest(),
            "created": created.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "duration": duration_ms / 1000,
            "channels": 1,
            "models": [self._model_uuid],
            "model_info": {self._model_uuid: {"name": name, "version": "", "arch": name}},
        }

    def closing(self, error: GatewayError) -> Closing:
        """The vendor's codes: 1011 and NET-0001 for silence; 1008 where to come back is no use."""
        if isinstance(error, IdleTimeout):
            return Closing(1011, "NET-0001: neither audio nor a text message came for 10 s")
        if error.close_code < 4000:
            return Closing(error.close_code, error.code)
        return Closing(1011 if error.retryable else 1008, error.code)


def _error_event(error: ErrorMessage) -> Event:
    variant = "SchemaError" if error.code == InvalidMessage.code else error.code
    return {
        "type": "Error", "variant": variant, "description": error.message, "code": error.code,
    }  # fmt: skip


class DeepgramDialect:
    """See `Dialect`."""

    def open(self, handshake: Handshake, host: Host) -> Opening:
        """See `Dialect.open`: the query is what was asked for.

        Raises:
            InvalidOption, Unsupported: names the first option that is wrong or not available.
        """
        listening = read_query(handshake.query, host.model)
        return Opening(DeepgramCodec(host, listening), listening.options, _subprotocol(handshake))

    def refused(self, handshake: Handshake, host: Host) -> Opening:
        """See `Dialect.refused`."""
        usual = read_query([("encoding", "linear16"), ("sample_rate", "16000")], host.model)
        return Opening(DeepgramCodec(host, usual), usual.options, _subprotocol(handshake))

    def refusal(self, error: GatewayError, host: Host) -> Mapping[str, Any]:
        """The vendor's shape of an HTTP error."""
        wrong = isinstance(error, InvalidOption | Unsupported)
        return {
            "err_code": "INVALID_QUERY_PARAMETER" if wrong else error.code.upper(),
            "err_msg": error.message,
            "request_id": str(uuid.UUID(hex=host.session)),
        }


def _subprotocol(handshake: Handshake) -> str | None:
    return next((name for name in handshake.subprotocols if name.lower() in SUBPROTOCOLS), None)
