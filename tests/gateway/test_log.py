"""Logs: one JSON object a line, whoever logs; nothing that people said."""

import asyncio
import json
import logging
from collections.abc import Iterator, Sequence
from typing import Any

import httpx
import pytest
import structlog
from structlog.testing import capture_logs

from engine.messages import Step, StepResult
from gateway.log import configure_logging
from gateway.session import Session
from gateway.settings import Settings
from gateway.wire.native import NativeCodec
from tests.conftest import Server, serving
from tests.engine.models.doubles import OneWordASecondModel
from tests.gateway.dialing import dial, hear, hear_all
from tests.speech import pcm16, speech

SECRET = "what she said"


def configured(**settings: Any) -> structlog.typing.FilteringBoundLogger:
    """A logger of a gateway with these settings."""
    configure_logging(Settings(**settings))
    logger: structlog.typing.FilteringBoundLogger = structlog.get_logger("gateway.test")
    return logger


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    """What came to stderr; stdout is for the address and transcripts."""
    out, err = capsys.readouterr()
    assert out == ""
    return [json.loads(line) for line in err.splitlines()]


def fail(secret: str) -> None:
    """Raises an error whose own text is harmless, with ``secret`` in a local variable."""
    raise RuntimeError(f"failed after {len(secret)} characters")


def test_an_event_is_one_json_object_with_time_and_level(
    capsys: pytest.CaptureFixture[str],
) -> None:
    configured().info("session_closed", close_code=1000)

    [line] = lines(capsys)
    assert (line["event"], line["level"], line["close_code"]) == ("session_closed", "info", 1000)
    assert line["timestamp"].endswith("Z")


def test_libraries_log_the_same_way_from_warnings_on(capsys: pytest.CaptureFixture[str]) -> None:
    configured(log_level="debug")
    logging.getLogger("uvicorn.error").info('"WebSocket /v1/stream?context=secret" [accepted]')
    logging.getLogger("uvicorn.error").warning("It is %s.", "late")

    [line] = lines(capsys)
    assert (line["event"], line["level"]) == ("It is late.", "warning")
    assert "timestamp" in line


@pytest.mark.parametrize(
    ("level", "shown"),
    [("debug", 4), ("info", 3), ("warning", 2), ("error", 1)],
)
def test_what_is_below_the_level_is_left_out(
    capsys: pytest.CaptureFixture[str], level: str, shown: int
) -> None:
    log = configured(log_level=level)
    for name in ("debug", "info", "warning", "error"):
        getattr(log, name)("something")

    assert len(lines(capsys)) == shown


@pytest.mark.parametrize("format", ["json", "console"])
@pytest.mark.parametrize("logger", ["ours", "a library's"])
def test_a_traceback_shows_where_but_no_variables(
    capsys: pytest.CaptureFixture[str], logger: str, format: str
) -> None:
    """The pretty ones print local variables, and with them what people said."""
    log = configured(log_format=format)
    try:
        fail(SECRET)
    except RuntimeError:
        (log if logger == "ours" else logging.getLogger("uvicorn.error")).exception("broken")

    _, err = capsys.readouterr()
    assert "Traceback (most recent call last)" in err
    assert "failed after 13 characters" in err
    assert SECRET not in err
    if format == "json":
        [line] = err.splitlines()
        assert "Traceback" in json.loads(line)["exception"]


def test_a_client_s_bytes_that_no_text_can_be_made_of_stay_out_of_the_log(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """As uvicorn logs a text frame that is not UTF-8: the error holds the whole frame."""
    configured()
    try:
        (SECRET.encode() + b"\xff").decode()
    except UnicodeDecodeError:
        logging.getLogger("uvicorn.error").exception("Invalid UTF-8 sequence received from client.")

    assert SECRET not in capsys.readouterr().err


def test_auto_is_json_where_nobody_watches(capsys: pytest.CaptureFixture[str]) -> None:
    configured(log_format="auto").info("something")

    assert lines(capsys)[0]["event"] == "something"


def test_console_is_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    configured(log_format="console").info("something", count=3)

    _, err = capsys.readouterr()
    assert "something" in err
    assert not err.startswith("{")


class FailingModel(OneWordASecondModel):
    """Fails at every step but the first, which warms it up."""

    def step(self, batch: Sequence[Step]) -> list[StepResult]:
        raise RuntimeError("no")


@pytest.fixture(scope="module")
def failing() -> Iterator[Server]:
    model = f"{__name__}:{FailingModel.__name__}"
    with serving(Settings(port=0, runner="thread", model=model)) as running:
        yield running


class TestLinesAboutASession:
    """Whoever looks for a session's id finds all that was logged of it."""

    async def spoken(self, server: Server) -> tuple[str, list[dict[str, Any]]]:
        """The id of a session with real speech, and the lines that it left."""
        with capture_logs([structlog.contextvars.merge_contextvars]) as logged:
            async with dial(server) as client:
                ready = await hear(client)
                await client.send(pcm16("beckett.wav")[0][:96_000])
                await client.send('{"type": "stop"}')
                await hear_all(client)
            async with asyncio.timeout(10):
                while "session_closed" not in [line["event"] for line in logged]:
                    await asyncio.sleep(0.01)
        return ready["session"], [dict(line) for line in logged]

    @pytest.mark.parametrize(
        ("where", "method", "event"),
        [
            (NativeCodec, "decode", "message_failed"),
            (Session, "translate", "session_broken"),
            (None, "", "segment_failed"),
        ],
    )
    async def test_name_it_whatever_went_wrong(
        self, failing: Server, monkeypatch: pytest.MonkeyPatch,
        where: type | None, method: str, event: str,
    ) -> None:  # fmt: skip
        if where is not None:

            def fault(*_: object) -> None:
                raise ZeroDivisionError

            monkeypatch.setattr(where, method, fault)
        session, logged = await self.spoken(failing)

        about = [line for line in logged if line["event"] != "batch_failed"]
        assert {line["event"] for line in about} == {event, "session_closed"}
        assert {line.get("session") for line in about} == {session}

    async def test_an_uploads_lines_have_one_id(self, failing: Server) -> None:
        with capture_logs() as logged:
            async with httpx.AsyncClient(base_url=failing.http, trust_env=False) as http:
                content = await asyncio.to_thread(speech("beckett.wav").read_bytes)
                answer = await http.post(
                    "/v1/audio/transcriptions", data={"model": "any"}, files={"file": content}
                )
        assert answer.status_code == 503
        [closed] = [line for line in logged if line["event"] == "upload_closed"]
        assert len(closed["session"]) == 32


async def test_what_a_library_logs_in_a_connection_names_the_session(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    decode = NativeCodec.decode

    def logging_decode(codec: NativeCodec, data: str | bytes) -> object:
        structlog.get_logger("a.library").warning("odd")
        return decode(codec, data)

    monkeypatch.setattr(NativeCodec, "decode", logging_decode)
    with capture_logs([structlog.contextvars.merge_contextvars]) as logged:
        async with dial(server) as client:
            ready = await hear(client)
            await client.send('{"type": "stop"}')
            await hear_all(client)

    assert ready["session"] in [line.get("session") for line in logged if line["event"] == "odd"]
