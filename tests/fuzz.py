"""Bytes that lead where none led before, to every decoder: does anything but its errors come out?

``python -m tests.fuzz [--seconds 300 | --runs N] [--target NAME] [--corpus DIR]``

atheris follows which branches an input takes, and changes those that found new ones. What it
learned goes into the folder of the corpus, and the next run begins there. What crashed is written
into the working folder as ``crash-…``; ``--again FILE`` tries it once more.
"""

import argparse
import asyncio
import json
import sys
import tempfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from urllib.parse import parse_qsl

import atheris
import msgpack

with atheris.instrument_imports(include=["gateway", "engine", "starlette.formparsers"]):
    from starlette.requests import Request

    from engine.checkpoint import Checkpoint
    from engine.vad import VadState
    from gateway.access.keys import KeyRing
    from gateway.access.tokens import Claims, TokenError, Tokens
    from gateway.audio import decode_file
    from gateway.client.errors import SessionError
    from gateway.client.wire import codec_of
    from gateway.errors import GatewayError
    from gateway.http.forms import read_form
    from gateway.media import HEAD_BYTES, decode_media, demuxer
    from gateway.session import Identity, Session
    from gateway.wire.codec import Dialect, Frame, Handshake
    from gateway.wire.deepgram import DeepgramDialect
    from gateway.wire.messages import AudioFrame, Reply
    from gateway.wire.native import NativeDialect
    from gateway.wire.openai_realtime import OpenAiRealtimeDialect
    from gateway.wire.openai_uploads import read_request
    from gateway.wire.options import parse_options

from tests.gateway.conversation import LIMITS, RecordingSpeech
from tests.gateway.wire.hosts import MODEL, host
from tests.speech import speech

CRASHED = 77
"""libFuzzer's exit status."""
LONGEST = 4096
_BETWEEN = b"\0"
_LOOP = asyncio.new_event_loop()
_TOKENS = Tokens("a secret")


def conversation(dialect: Dialect, data: bytes) -> None:
    """An address's query, and frames of text or bytes, each to a session."""
    query, *frames = data.split(_BETWEEN)
    try:
        opening = dialect.open(Handshake(_fields(query), (), {}), host())
        session = Session(
            Identity("s"), parse_options(opening.options, max_segment_ms=MODEL.max_segment_ms),
            MODEL, LIMITS, RecordingSpeech,
        )  # fmt: skip
    except GatewayError:
        return
    for each in session.ready():
        opening.codec.encode(each)
    for frame in frames:
        _take(session, opening.codec.decode, _as_frame(frame))


def _take(session: Session, decode: Callable[..., object], frame: Frame) -> None:
    try:
        for message in decode(frame):  # type: ignore[attr-defined]
            if isinstance(message, AudioFrame):
                session.check_audio(message.pcm)
            if not isinstance(message, Reply):
                session.receive(message)
    except GatewayError:
        return


def _as_frame(data: bytes) -> Frame:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data


def _fields(query: bytes) -> list[tuple[str, str]]:
    return parse_qsl(query.decode("latin-1"), keep_blank_values=True)


def packed(data: bytes) -> None:
    """Binary frames of the native protocol's msgpack form, each behind its length."""
    opening = NativeDialect().open(Handshake([("format", "msgpack")], (), {}), host())
    options = parse_options(opening.options, max_segment_ms=MODEL.max_segment_ms)
    session = Session(Identity("s"), options, MODEL, LIMITS, RecordingSpeech)
    while data:
        length = data[0] + 1
        _take(session, opening.codec.decode, data[1 : length + 1])
        data = data[length + 1 :]


def checkpoint(data: bytes) -> None:
    """What clients keep of a session: what is taken is what was given out."""
    try:
        taken = Checkpoint.decode(data.decode("latin-1"))
    except ValueError:
        return
    assert Checkpoint.decode(taken.encode()) == taken


def container(data: bytes) -> None:
    """A file in a container."""
    try:
        for _ in decode_media(BytesIO(data), demuxer(data[:HEAD_BYTES]), max_s=60):
            pass
    except GatewayError:
        return


def sound_file(data: bytes) -> None:
    """A file for the clients."""
    try:
        decode_file(data, max_duration_s=60)
    except GatewayError:
        return


def form(data: bytes) -> None:
    """An upload's form, and what it asks for."""
    _LOOP.run_until_complete(_form(data))


async def _form(data: bytes) -> None:
    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": data, "more_body": False}

    headers = [(b"content-type", b"multipart/form-data; boundary=b")]
    request = Request({"type": "http", "method": "POST", "headers": headers}, receive)
    try:
        fields = await read_form(request, max_bytes=LONGEST, chunk_within_s=1)
        read_request([(k, v) for k, v in fields.multi_items() if isinstance(v, str)])
        await fields.close()
    except GatewayError:
        return


def token(data: bytes) -> None:
    """A token: nothing is believed that was not signed."""
    try:
        _TOKENS.read(data.decode("latin-1"), KeyRing())
    except TokenError:
        return
    assert data.decode() == SEEDS["token"][0].decode()


def heard_by_client(data: bytes) -> None:
    """What a server that is none may send to the Python client."""
    for frame, codec in ((data, codec_of("msgpack")), (_as_frame(data), codec_of("json"))):
        try:
            codec.decode(frame)
        except SessionError:
            continue


TARGETS: dict[str, Callable[[bytes], None]] = {
    "native": lambda data: conversation(NativeDialect(), data),
    "openai": lambda data: conversation(OpenAiRealtimeDialect(), data),
    "deepgram": lambda data: conversation(DeepgramDialect(), data),
    "packed": packed,
    "checkpoint": checkpoint,
    "container": container,
    "sound_file": sound_file,
    "form": form,
    "token": token,
    "client": heard_by_client,
}


def _frames(query: str, *messages: object) -> bytes:
    text = (each if isinstance(each, bytes) else json.dumps(each).encode() for each in messages)
    return _BETWEEN.join([query.encode(), *text])


def _packed(*messages: object) -> bytes:
    frames = [msgpack.packb(each) for each in messages]
    return b"".join(bytes([len(frame) - 1]) + frame for frame in frames)


def _field(name: str, value: str) -> str:
    return f'--b\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'


_STOP, _FINALIZE = {"type": "stop"}, {"type": "finalize", "id": "a"}
_POINT = Checkpoint(VadState().tobytes(), at=80_000, start=80_000, segments=4)
SEEDS: dict[str, list[bytes]] = {
    "native": [
        _frames("language=en&chunk_ms=auto&rollback_tokens=5", b"\xff" * 64, _FINALIZE, _STOP),
        _frames("sample_rate=8000&encoding=mulaw", {"type": "configure", "context": "x"}),
        _frames(f"session={'0' * 32}&resume=a&epoch=1&checkpoint={_POINT.encode()}"),
    ],
    "openai": [
        _frames(
            "intent=transcription",
            {"type": "session.update", "session": {"type": "transcription", "audio": {"input": {
                "format": {"type": "audio/pcm", "rate": 24_000},
                "turn_detection": {"type": "server_vad", "silence_duration_ms": 300}}}}},
            {"type": "input_audio_buffer.append", "audio": "AAAA"},
            {"type": "input_audio_buffer.commit"}, {"type": "input_audio_buffer.clear"},
        ),
    ],
    "deepgram": [
        _frames(
            "encoding=linear16&sample_rate=8000&interim_results=true&endpointing=300",
            {"type": "KeepAlive"}, {"type": "Finalize", "channel": 0}, {"type": "CloseStream"},
        ),
    ],
    "packed": [_packed({"type": "audio", "pcm": bytes(64)}, _FINALIZE, {"type": "ping"}, _STOP)],
    "checkpoint": [_POINT.encode().encode()],
    "container": [Path(speech("beckett.wav")).read_bytes()[:LONGEST], b"OggS" + bytes(64)],
    "sound_file": [Path(speech("beckett.wav")).read_bytes()[:LONGEST], b"fLaC" + bytes(64)],
    "form": [
        (_field("model", "m") + _field("response_format", "srt") + "--b--\r\n").encode(),
        (_field("stream", "true") + _field("chunking_strategy", "auto") + "--b--\r\n").encode(),
    ],
    "token": [_TOKENS.issue(Claims("", 2**40, options={"language": "en"}), None).encode()],
    "client": [
        b'{"type": "partial", "stable": "a", "unstable": "b"}',
        msgpack.packb({"type": "ready", "limits": {"a": 1}}),
    ],
}  # fmt: skip


def try_one(data: bytes) -> None:
    """One input; its first byte names the target."""
    if data:
        names = list(TARGETS)
        TARGETS[names[data[0] % len(names)]](data[1:])


def plant(folder: Path, target: str | None) -> None:
    """Writes what to begin with."""
    for index, name in enumerate(TARGETS):
        if target in (None, name):
            for each, seed in enumerate(SEEDS[name]):
                (folder / f"seed-{name}-{each}").write_bytes(bytes([index]) + seed)


def main() -> None:
    """Ends with status 77 if anything came out that may not."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=int, default=300)
    parser.add_argument("--runs", type=int, help="instead: so many inputs, the same ones each time")
    parser.add_argument("--target", choices=TARGETS)
    parser.add_argument("--corpus", type=Path)
    parser.add_argument("--again", type=Path, help="an input that crashed")
    arguments = parser.parse_args()
    if arguments.again:
        try_one(arguments.again.read_bytes())
        return
    folder = arguments.corpus or Path(tempfile.mkdtemp())
    folder.mkdir(exist_ok=True, parents=True)
    plant(folder, arguments.target)
    limits = [f"-max_len={LONGEST}", "-timeout=20"]
    if arguments.runs:
        limits += [f"-runs={arguments.runs}", "-seed=1"]
    else:
        limits.append(f"-max_total_time={arguments.seconds}")
    only = list(TARGETS).index(arguments.target) if arguments.target else None

    def one(data: bytes) -> None:
        try_one(data if only is None else bytes([only]) + data[1:])

    atheris.Setup([sys.argv[0], str(folder), *limits, "-rss_limit_mb=2048"], one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
