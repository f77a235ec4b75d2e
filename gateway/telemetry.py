"""Traces for OpenTelemetry: a span for each session, and below it its steps. Off by default.

Imported only when `Settings.otlp_endpoint` is set. Spans are exported by a thread of the SDK's own;
what it is asked by ``OTEL_…`` environment variables, as to sample, it does. No transcript, context
or key is in any of them.
"""

import time
from importlib.metadata import version

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Span, set_span_in_context

from engine.messages import StepResult
from engine.worker import BatchReport
from gateway.live import LiveSession

NS = 1_000_000_000


class Telemetry:
    """Fills `gateway.registry.Traces`.

    Args:
        endpoint: base URL of a collector that takes OTLP over HTTP.
    """

    def __init__(self, endpoint: str) -> None:
        whose = {"service.name": "scribewire", "service.version": version("scribewire")}
        self._provider = TracerProvider(resource=Resource.create(whose), shutdown_on_exit=False)
        exporter = OTLPSpanExporter(endpoint=f"{endpoint.rstrip('/')}/v1/traces")
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("scribewire")
        self._sessions: dict[str, Span] = {}
        """By the name that the engine knows them by."""

    def opened(self, live: LiveSession) -> None:
        """A session begins, or goes on from another process."""
        self._sessions[live.engine_name] = self._tracer.start_span(
            "session", attributes={"scribewire.session": live.session.id}
        )

    def closed(self, live: LiveSession, close_code: int) -> None:
        """A session is over."""
        if (span := self._sessions.pop(live.engine_name, None)) is not None:
            span.set_attribute("scribewire.close_code", close_code)
            for name, value in live.figures.items():
                span.set_attribute(f"scribewire.{name}", value)
            span.end()

    def batch_done(self, report: BatchReport) -> None:
        """A micro-batch came back just now."""
        taken = time.time_ns() - round(report.seconds * NS)
        for i, (key, result) in enumerate(zip(report.keys, report.results, strict=True)):
            session = self._sessions.get(key.session)
            if session is None:  # it is over, or an upload
                continue
            step = self._tracer.start_span(
                "step",
                set_span_in_context(session),
                start_time=taken - round(report.waited_s[i] * NS),
                attributes={
                    "scribewire.segment": key.segment,
                    "scribewire.kind": report.kinds[i].name.lower(),
                    "scribewire.batch_size": len(report.results),
                    "scribewire.draft_tokens_kept": result.accepted,
                    "scribewire.decoder_passes": result.decode_steps,
                },
            )
            self._parts(step, result, taken, report.waited_s[i])
            step.end(taken + round(report.seconds * NS))

    def _parts(self, step: Span, result: StepResult, taken: int, waited_s: float) -> None:
        """Of encoder and decoder, which work for the batch as a whole, a step has its share."""
        at = taken - round(waited_s * NS)
        parts = {"batch wait": waited_s, "encode": result.encode_s, "decode": result.decode_s}
        for name, seconds in parts.items():
            part = self._tracer.start_span(name, set_span_in_context(step), start_time=at)
            at += round(seconds * NS)
            part.end(at)

    def close(self) -> None:
        """Exports what is left; blocks for as long as that takes, at most some seconds."""
        for span in self._sessions.values():
            span.end()
        self._provider.shutdown()
