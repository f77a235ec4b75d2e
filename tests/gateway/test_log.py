"""Logs: one JSON object a line, whoever logs; nothing that people said."""

import json
import logging
from typing import Any

import pytest
import structlog

from gateway.log import configure_logging
from gateway.settings import Settings

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
