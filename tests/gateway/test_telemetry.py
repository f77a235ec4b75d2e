"""Traces as a collector gets them: sessions and their steps, and nothing that was said."""

import ast
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from gateway.settings import Settings
from tests.conftest import QUICK_MODEL, serving
from tests.gateway.dialing import dial, hear_all
from tests.speech import pcm16

ROOT = Path(__file__).parents[2]
KEY = "swk_the-key-that-these-tests-have-01234567890"


@dataclass
class Collector:
    """What came by OTLP."""

    url: str
    bodies: list[bytes] = field(default_factory=list)

    @property
    def spans(self) -> list[Any]:
        requests = [ExportTraceServiceRequest.FromString(body) for body in self.bodies]
        return [
            span
            for request in requests
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]

    def named(self, name: str) -> list[Any]:
        return [span for span in self.spans if span.name == name]


@contextmanager
def collecting() -> Iterator[Collector]:
    """A collector on a free port, as real as this test needs it."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.path == "/v1/traces":
                collector.bodies.append(body)
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        collector = Collector(f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield collector
        finally:
            server.shutdown()
            thread.join()


def attributes(span: Any) -> dict[str, Any]:
    return {
        each.key: getattr(each.value, each.value.WhichOneof("value")) for each in span.attributes
    }


@pytest.mark.timeout(30)
async def test_a_session_and_its_steps_are_traced_without_a_word_of_them() -> None:
    with collecting() as collector:
        settings = Settings(
            port=0, runner="thread", model=QUICK_MODEL, api_keys=KEY,  # type: ignore[arg-type]
            otlp_endpoint=collector.url,
        )  # fmt: skip
        query, how = "context=Pozzo&language=en", {"Authorization": f"Bearer {KEY}"}
        with serving(settings) as server:
            async with dial(server, query, additional_headers=how) as client:
                await client.send(pcm16("beckett.wav")[0])
                await client.send('{"type": "stop"}')
                events = await hear_all(client)

    finals = [event for event in events if event["type"] == "final"]
    [session] = collector.named("session")
    told = attributes(session)
    assert told["scribewire.session"] == events[0]["session"]
    assert (told["scribewire.close_code"], told["scribewire.finals"]) == (1000, len(finals))
    steps = collector.named("step")
    assert {attributes(step)["scribewire.segment"] for step in steps} == {
        final["segment"] for final in finals
    }
    for step in steps:
        assert (step.trace_id, step.parent_span_id) == (session.trace_id, session.span_id)
        assert session.start_time_unix_nano < step.start_time_unix_nano < step.end_time_unix_nano
        parts = [span for span in collector.spans if span.parent_span_id == step.span_id]
        assert {span.name for span in parts} == {"batch wait", "encode", "decode"}
        [wait] = [span for span in parts if span.name == "batch wait"]
        assert wait.start_time_unix_nano == step.start_time_unix_nano
    exported = b"".join(collector.bodies)
    words = {word for final in finals for word in final["text"].split()}
    assert words
    for hidden in (KEY, "Pozzo", "env1", events[0]["resume"], *words):
        assert hidden.encode() not in exported


def test_without_it_nothing_of_it_is_imported() -> None:
    """One module needs it, which another imports when it is asked for, and not before."""
    for file in [*ROOT.glob("engine/**/*.py"), *ROOT.glob("gateway/**/*.py")]:
        tree = ast.parse(file.read_text())
        imported = {
            getattr(node, "module", None) or node.names[0].name
            for node in tree.body
            if isinstance(node, ast.Import | ast.ImportFrom)
        }
        wants = {name for name in imported if name.split(".")[0] == "opentelemetry"}
        assert not wants or file.name == "telemetry.py", file
        assert "gateway.telemetry" not in imported, file


@pytest.mark.parametrize("url", ["collector:4318", "ftp://collector", "http://"])
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="otlp_endpoint"):
        Settings(otlp_endpoint=url)
