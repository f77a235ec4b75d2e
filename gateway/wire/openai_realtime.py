"""OpenAI Realtime, transcription sessions, at ``/v1/realtime``: as the `openai` package speaks it.

The GA form and the older one (`OpenAI-Beta: realtime=v1`) differ in how the session is configured
and in a few names; a client that uses the other form's update is answered in it from then on.
"""

import base64
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from gateway.errors import (
    GatewayError,
    InvalidAudio,
    InvalidMessage,
    InvalidOption,
    Unsupported,
    quoted,
)
from gateway.wire.codec import Closing, Frame, Handshake, Host, Keepalive, Opening
from gateway.wire.messages import (
    AudioFrame,
    ClientMessage,
    Configure,
    ErrorMessage,
    Finalize,
    Outgoing,
    Ready,
    Reply,
)
from gateway.wire.openai_config import Config, beta_form, ga_form
from gateway.wire.openai_items import Items
from gateway.wire.openai_update import refuse_late, update_beta, update_ga
from gateway.wire.strict_json import dump_json, parse_json

SUBPROTOCOL = "realtime"
BETA_SUBPROTOCOL = "openai-beta.realtime-v1"
TRY_AGAIN_LATER = 1013
"""Close code (IANA registry) at which the vendor's client reconnects, as at 1011 and 1012."""
MIN_COMMIT_MS = 100
MAX_EVENT_ID_CHARS = 512

_SERVER_FAULTS = frozenset({"internal", "engine_failed", "overloaded", "shutting_down"})
_CONVERSATION = ("conversation.item.", "response.", "output_audio_buffer.")


class BufferTooSmall(InvalidMessage):
    """A commit of next to nothing; with the vendor's code for it."""

    code = "input_audio_buffer_commit_empty"


class OpenAiRealtimeCodec:
    """See `Codec`."""

    keepalive = Keepalive(first_s=None, idle_s=None)

    def __init__(self, host: Host, *, beta: bool = False) -> None:
        self._host = host
        self._items = Items(f"item_{host.session[:12]}_", Config(), beta)
        self._heard = False
        """Whether there is audio."""
        self._rest = b""
        """Half a sample: what is appended are bytes, wherever they are parted."""
        self._samples = 0
        self._cut_ms = 0
        """Audio that the client committed or cleared."""
        self._events = 0
        self._takers: Mapping[str, Callable[[dict[str, Any]], Sequence[ClientMessage | Reply]]] = {
            "session.update": self._update_ga,
            "transcription_session.update": self._update_beta,
            "input_audio_buffer.append": self._append,
            "input_audio_buffer.commit": self._commit,
            "input_audio_buffer.clear": self._clear,
        }

    @property
    def options(self) -> Mapping[str, Any]:
        """The session's, as the configuration in force has them."""
        return self._items.config.fixed() | self._items.config.flexible()

    # Client to session

    def decode(self, frame: Frame) -> Sequence[ClientMessage | Reply]:
        """See `Codec.decode`; binary frames are audio."""
        if isinstance(frame, bytes):
            return self._audio(frame)
        event = parse_json(frame)
        if not isinstance(event, dict):
            raise InvalidMessage(f"An event must be a map, got {quoted(event)}.")
        try:
            return self._take(event, len(frame))
        except GatewayError as error:
            error.id = _event_id(event)
            raise

    def _take(self, event: dict[str, Any], size: int) -> Sequence[ClientMessage | Reply]:
        kind = event.get("type")
        take = self._takers.get(kind) if isinstance(kind, str) else None
        if take is None:
            if isinstance(kind, str) and kind.startswith(_CONVERSATION):
                raise Unsupported(
                    f"{quoted(kind)} belongs to conversations: this session transcribes.",
                    param="type",
                )
            raise InvalidMessage(
                f"{quoted(kind)} is not a type of event; known are {', '.join(self._takers)}.",
                param="type",
            )
        if size > self._host.max_control_bytes and take != self._append:
            raise InvalidMessage(
                f"{kind} must have at most {self._host.max_control_bytes} bytes.", param="type"
            )
        return take(event)

    def _update_ga(self, event: dict[str, Any]) -> Sequence[ClientMessage | Reply]:
        config = update_ga(self._items.config, event.get("session"), self._host.model)
        return self._reconfigure(config, beta=False)

    def _update_beta(self, event: dict[str, Any]) -> Sequence[ClientMessage | Reply]:
        config = update_beta(self._items.config, event.get("session"), self._host.model)
        return self._reconfigure(config, beta=True)

    def _reconfigure(self, config: Config, *, beta: bool) -> Sequence[ClientMessage | Reply]:
        if self._heard:
            refuse_late(self._items.config, config)
        options = config.flexible() if self._heard else config.fixed() | config.flexible()
        self._items.config, self._items.beta = config, beta
        return [Configure(options, None), Reply(self._session_event("updated"))]

    def _append(self, event: dict[str, Any]) -> Sequence[ClientMessage | Reply]:
        audio = event.get("audio")
        try:
            if isinstance(audio, str):
                return self._audio(base64.b64decode(audio, validate=True))
        except ValueError:
            pass
        raise InvalidAudio("audio must be base64 of the audio's bytes.", param="audio")

    def _audio(self, data: bytes) -> Sequence[ClientMessage | Reply]:
        data = self._rest + data
        config = self._items.config
        whole = len(data) - len(data) % config.frame_bytes
        self._rest = data[whole:]
        if not whole:
            return []
        self._heard = True
        self._samples += whole // config.frame_bytes
        self._items.received_ms = self._samples * 1000 // config.rate
        return [AudioFrame(data[:whole])]

    def _commit(self, event: dict[str, Any]) -> Sequence[ClientMessage | Reply]:
        buffered_ms = self._buffered_ms
        if buffered_ms < MIN_COMMIT_MS:
            raise BufferTooSmall(
                "Error committing input audio buffer: buffer too small. Expected at least "
                f"{MIN_COMMIT_MS}ms of audio, but buffer only has {buffered_ms}ms of audio."
            )
        self._cut()
        self._items.cut("commit")
        return [Finalize("commit")]

    def _clear(self, event: dict[str, Any]) -> Sequence[ClientMessage | Reply]:
        cleared = Reply({"type": "input_audio_buffer.cleared"})
        if not self._buffered_ms:
            self._rest = b""
            return [cleared]
        self._cut()
        self._items.cut("clear")
        return [Finalize("clear"), cleared]

    @property
    def _buffered_ms(self) -> int:
        return self._items.received_ms - max(self._cut_ms, self._items.committed_ms)

    def _cut(self) -> None:
        self._cut_ms, self._rest = self._items.received_ms, b""

    # Session to client

    def encode(self, message: Outgoing) -> Sequence[Frame]:
        """See `Codec.encode`."""
        match message:
            case Reply(body):
                return [self._frame(body)]
            case Ready():  # after an update, `_reconfigure` has answered
                return [] if self._events else [self._frame(self._session_event("created"))]
            case ErrorMessage(segment=None):
                return [self._frame(_error_event(message))]
        return [self._frame(event) for event in self._items.hear(message)]

    def _session_event(self, kind: str) -> dict[str, Any]:
        beta, config, model = self._items.beta, self._items.config, self._host.model
        session = {
            "id": f"sess_{self._host.session}",
            "object": "realtime.transcription_session",
            "expires_at": int(self._host.opened_at + self._host.max_session_s),
        } | (beta_form(config, model) if beta else ga_form(config, model))
        return {"type": f"{'transcription_' if beta else ''}session.{kind}", "session": session}

    def _frame(self, event: Mapping[str, Any]) -> str:
        self._events += 1
        return dump_json({"event_id": f"event_{self._host.session[:12]}_{self._events}", **event})

    def closing(self, error: GatewayError) -> Closing:
        """Our code, or what the vendor's client reconnects at; the reason is the error's code."""
        private = error.close_code >= 4000
        code = TRY_AGAIN_LATER if private and error.retryable else error.close_code
        return Closing(code, error.code)


def _event_id(event: dict[str, Any]) -> str | None:
    id = event.get("event_id")
    return id if isinstance(id, str) and len(id) <= MAX_EVENT_ID_CHARS else None


def _error_event(error: ErrorMessage) -> dict[str, Any]:
    return {
        "type": "error",
        "error": {
            "type": "server_error" if error.code in _SERVER_FAULTS else "invalid_request_error",
            "code": error.code,
            "message": error.message,
            "param": error.param,
            "event_id": error.id,
        },
    }


class OpenAiRealtimeDialect:
    """See `Dialect`."""

    def open(self, handshake: Handshake, host: Host) -> Opening:
        """See `Dialect.open`.

        Raises:
            InvalidOption, Unsupported: the query asks for something else than a transcription.
        """
        for name, value in handshake.query:
            if name == "intent" and value != "transcription":
                raise Unsupported(
                    f"intent must be transcription, got {quoted(value)}.", param="intent"
                )
            if name not in ("intent", "model"):
                raise InvalidOption(
                    f"{quoted(name)} is not a parameter here: send it in session.update.",
                    param=name[:64],
                )
        return self.refused(handshake, host)

    def refused(self, handshake: Handshake, host: Host) -> Opening:
        """See `Dialect.refused`."""
        offered = handshake.subprotocols
        header = handshake.headers.get("openai-beta", "")
        codec = OpenAiRealtimeCodec(host, beta=bool(header) or BETA_SUBPROTOCOL in offered)
        return Opening(codec, codec.options, SUBPROTOCOL if SUBPROTOCOL in offered else None)

    def refusal(self, error: GatewayError, host: Host) -> Mapping[str, Any]:
        """The vendor's shape of an HTTP error."""
        kind = "server_error" if error.code in _SERVER_FAULTS else "invalid_request_error"
        fields = {"message": error.message, "type": kind, "param": error.param, "code": error.code}
        return {"error": fields}
