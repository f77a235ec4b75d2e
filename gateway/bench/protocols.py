"""The servers that can be measured, and how each says things. Pure."""

import base64
import json
import uuid
from collections.abc import Callable

import numpy as np

from engine.messages import SAMPLE_RATE
from gateway.bench.protocol import Event, Foreign, Message, Native

OPENAI_RATE = 24_000
"""The vendor takes PCM at no other rate."""


class Deepgram(Foreign):
    """Deepgram's live transcription."""

    path = "/v1/listen"

    def __init__(self, language: str | None = None) -> None:
        super().__init__(language)
        self._stable = ""
        """Final results of the utterance."""

    def query(self) -> dict[str, str]:
        return super().query() | {
            "encoding": "linear16", "sample_rate": str(SAMPLE_RATE), "interim_results": "true",
        }  # fmt: skip

    def headers(self, api_key: str | None) -> dict[str, str]:
        return {"Authorization": f"Token {api_key}"} if api_key else {}

    def connected(self) -> list[Event]:
        return [{"type": "ready"}]

    def opening(self) -> list[Message]:
        return [json.dumps({"type": "KeepAlive"})]

    def stop(self) -> list[Message]:
        return [json.dumps({"type": "CloseStream"})]

    def take(self, message: Event) -> list[Event]:
        if message.get("type") == "Metadata":
            return [self.done()]
        if message.get("type") == "Error":
            return [message | {"type": "error"}]
        if message.get("type") != "Results":
            return []
        text = message["channel"]["alternatives"][0]["transcript"]
        start_ms = round(message["start"] * 1000)
        end_ms = start_ms + round(message["duration"] * 1000)
        if message.get("is_final"):
            return [self.final(start_ms, end_ms, text + " " * bool(text))]
        return [self.partial(start_ms, end_ms, "", text)] if text else []


class OpenAi(Foreign):
    """OpenAI Realtime, a transcription session in its present (GA) form."""

    path = "/v1/realtime"
    positions = False

    def __init__(self, language: str | None = None) -> None:
        super().__init__(language)
        self._open: dict[str, str] = {}
        """Text so far of the items without a whole transcript."""
        self._start_ms: dict[str, int] = {}
        self._stopped = False

    def query(self) -> dict[str, str]:
        return {"intent": "transcription"}

    def opening(self) -> list[Message]:
        language = {"language": self.language} if self.language else {}
        audio = {
            "format": {"type": "audio/pcm", "rate": OPENAI_RATE},
            "turn_detection": {"type": "server_vad"},
        }
        audio |= {"transcription": language} if language else {}
        session = {"type": "transcription", "audio": {"input": audio}}
        return [json.dumps({"type": "session.update", "session": session})]

    def frame(self, pcm: bytes) -> Message:
        audio = base64.b64encode(_at_24_khz(pcm)).decode()
        return json.dumps({"type": "input_audio_buffer.append", "audio": audio})

    def stop(self) -> list[Message]:
        self._stopped = True
        return [json.dumps({"type": "input_audio_buffer.commit"})]

    def take(self, message: Event) -> list[Event]:
        kind, item = message["type"].rpartition(".")[2], message.get("item_id", "")
        if message["type"] == "error":
            empty = message["error"].get("code") == "input_audio_buffer_commit_empty"
            return self._ended() if empty and self._stopped else [message]
        if message["type"] == "session.updated":
            return [{"type": "ready"}]
        match kind:
            case "speech_started":
                self._start_ms[item] = message["audio_start_ms"]
                self._open.setdefault(item, "")
            case "committed":
                self._open.setdefault(item, "")
            case "delta":
                self._open[item] = text = self._open.get(item, "") + message["delta"]
                return [self.partial(self._start_ms.get(item, 0), 0, text, "")]
            case "completed" | "failed":
                self._open.pop(item, None)
                text = message.get("transcript", "").strip()
                final = self.final(self._start_ms.get(item, 0), 0, text + " " * bool(text))
                return [final, *self._ended()]
        return []

    def _ended(self) -> list[Event]:
        """The vendor says no end: it is when all that was committed has its transcript."""
        return [self.done()] if self._stopped and not self._open else []


class WhisperLive(Foreign):
    """WhisperLive: float32 in, its last segments out, each time anew."""

    path = "/"
    positions = False
    settle_s = 3.0

    def __init__(self, language: str | None = None) -> None:
        super().__init__(language)
        self._settled_ms = 0
        self._rest: Event | None = None
        """The segment that is not complete."""

    def query(self) -> dict[str, str]:
        return {}

    def opening(self) -> list[Message]:
        """With the defaults of its own client; the server has but one model."""
        options = {
            "uid": str(uuid.uuid4()), "language": self.language, "task": "transcribe",
            "model": "tiny.en", "use_vad": True, "send_last_n_segments": 10,
            "no_speech_thresh": 0.45, "clip_audio": False, "same_output_threshold": 10,
        }  # fmt: skip
        return [json.dumps(options)]

    def frame(self, pcm: bytes) -> Message:
        return (np.frombuffer(pcm, "<i2").astype("<f4") / 32_768).tobytes()

    def stop(self) -> list[Message]:
        return [b"END_OF_AUDIO"]

    def take(self, message: Event) -> list[Event]:
        if message.get("message") == "SERVER_READY":
            return [{"type": "ready"}]
        if message.get("status") in ("WAIT", "ERROR"):
            return [{"type": "error", "code": message["status"], "message": message["message"]}]
        events = []
        for segment in message.get("segments", ()):
            start_ms, end_ms = (round(float(segment[name]) * 1000) for name in ("start", "end"))
            if start_ms < self._settled_ms:
                continue  # told before
            if segment.get("completed"):
                self._settled_ms, self._rest = end_ms, None
                events.append(self.final(start_ms, end_ms, segment["text"].strip() + " "))
            else:
                self._rest = {"start_ms": start_ms, "end_ms": end_ms, "text": segment["text"]}
                events.append(self.partial(start_ms, end_ms, "", segment["text"].strip()))
        return events

    def closed(self) -> list[Event]:
        """What was shown last stays: nothing more comes."""
        rest = [self.final(**self._rest)] if self._rest else []
        return [*rest, self.done()]


class WhisperLiveKit(Foreign):
    """WhisperLiveKit with ``--pcm-input``: all lines so far, each time anew."""

    path = "/asr"
    positions = False

    def __init__(self, language: str | None = None) -> None:
        super().__init__(language)
        self._text = ""

    def stop(self) -> list[Message]:
        return [b""]

    def take(self, message: Event) -> list[Event]:
        if message.get("type") == "config":
            return [{"type": "ready"}]
        if message.get("type") == "ready_to_stop":
            return [self.final(0, 0, self._text), self.done()]
        if message.get("error"):
            return [{"type": "error", "code": "error", "message": message["error"]}]
        if "lines" not in message:
            return []
        lines = " ".join(line["text"].strip() for line in message["lines"] if line.get("text"))
        unstable = message.get("buffer_transcription", "")
        self._text = f"{lines} {unstable}".strip()
        return [self.partial(0, 0, f"{lines} ", unstable)] if self._text else []


PROTOCOLS: dict[str, Callable[[str | None], Native]] = {
    "native": Native,
    "openai": OpenAi,
    "deepgram": Deepgram,
    "whisperlive": WhisperLive,
    "whisperlivekit": WhisperLiveKit,
}


def _at_24_khz(pcm: bytes) -> bytes:
    """By straight lines between samples: exact enough for speech, and frames stay separate."""
    samples = np.frombuffer(pcm, "<i2")
    at = np.arange(len(samples) * 3 // 2) * 2 / 3
    sent: bytes = np.rint(np.interp(at, np.arange(len(samples)), samples)).astype("<i2").tobytes()
    return sent
