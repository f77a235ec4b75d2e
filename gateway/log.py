"""Structured logs on stderr. Never audio, transcripts, query strings or keys."""

import logging
import sys
from contextlib import suppress
from typing import Any, TextIO

import structlog

from gateway.settings import Settings

CLIENTS_FAULTS = (
    "Invalid UTF-8 sequence received from client.",
    "ASGI callable returned without completing handshake.",
)
"""What uvicorn logs as errors when a client is refused or breaks the protocol: no fault of ours."""


class Losing:
    """Writes to a stream what it takes; what a full disk or a closed pipe refuses is lost."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> None:
        """As much of it as can be written."""
        with suppress(OSError):
            self._stream.write(text)

    def flush(self) -> None:
        """As far as it can be."""
        with suppress(OSError):
            self._stream.flush()


def configure_logging(settings: Settings) -> None:
    """Sets up structlog, and sends what libraries log through stdlib logging the same way."""
    level = getattr(logging, settings.log_level.upper())
    console = settings.log_format == "console" or (
        settings.log_format == "auto" and sys.stderr.isatty()
    )
    stream: Any = Losing(sys.stderr)  # no session ends because its end cannot be noted down
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    # Plain tracebacks: the pretty ones print local variables, and with them what people said.
    renderer: structlog.typing.Processor = (
        structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
        if console
        else structlog.processors.JSONRenderer()
    )
    plain = [] if console else [structlog.processors.format_exc_info]
    structlog.configure(
        processors=[*shared, *plain, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        # A line in one piece: several processes may write to the same log.
        logger_factory=structlog.WriteLoggerFactory(stream),
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *plain,
                renderer,
            ],
        )
    )
    handler.addFilter(lambda record: record.msg not in CLIENTS_FAULTS)
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
