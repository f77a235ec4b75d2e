"""Routes, headers and refusals of the whole gateway, over real sockets."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import msgpack
import pytest
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.parser import text_string_to_metric_families
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import InvalidStatus
from websockets.typing import Subprotocol

from gateway.metrics import Metrics
from gateway.settings import Settings
from tests.conftest import QUICK_MODEL, Server, serving
from tests.gateway.dialing import WITHIN_S, dial, hear, hear_all, refused
from tests.speech import pcm16

JSON, MSGPACK = Subprotocol("scribewire.json.v1"), Subprotocol("scribewire.msgpack.v1")

pytestmark = pytest.mark.timeout(30)


@pytest.fixture
def one_place() -> Iterator[Server]:
    """A small gateway with room for one session."""
    with serving(Settings(port=0, runner="thread", model=QUICK_MODEL, max_sessions=1)) as running:
        yield running


class TestPages:
    def test_the_page_may_load_only_from_here_and_be_framed_by_nobody(self, server: Server) -> None:
        page = server.get("/")

        assert page.status_code == 200
        assert page.headers["content-type"] == "text/html; charset=utf-8"
        assert "<html" in page.text
        policy = page.headers["content-security-policy"].split("; ")
        assert set(policy) >= {
            "default-src 'none'", "script-src 'self'", "connect-src 'self'", "base-uri 'none'",
            "form-action 'none'", "frame-ancestors 'none'", "require-trusted-types-for 'script'",
        }  # fmt: skip
        assert not any("unsafe" in rule for rule in policy)

    @pytest.mark.parametrize("path", ["/", "/static/app.js", "/healthz", "/nowhere"])
    def test_every_answer_has_the_security_headers(self, server: Server, path: str) -> None:
        headers = server.get(path).headers

        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cross-origin-opener-policy"] == "same-origin"
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert "strict-transport-security" not in headers  # this is not TLS
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "microphone=(self)" in headers["permissions-policy"]
        assert "server" not in headers

    @pytest.mark.parametrize(
        ("name", "kind"),
        [("app.js", "javascript"), ("style.css", "text/css"), ("favicon.svg", "image/svg")],
    )
    def test_its_files_have_types_that_a_browser_runs(
        self, server: Server, name: str, kind: str
    ) -> None:
        file = server.get(f"/static/{name}")

        assert file.status_code == 200
        assert kind in file.headers["content-type"]

    @pytest.mark.parametrize(
        "path",
        ["/nowhere", "/static/nowhere.js", "/static/%2e%2e/gateway/app.py", "/static/../app.py"],
    )
    def test_what_is_not_there_is_404_in_json(self, server: Server, path: str) -> None:
        answer = server.get(path)

        assert answer.status_code == 404
        assert (answer.json()["type"], answer.json()["code"]) == ("error", "not_found")


class TestHealth:
    def test_alive_and_ready(self, server: Server) -> None:
        assert server.get("/healthz").json() == {"status": "ok"}
        assert server.get("/readyz").json() == {"status": "ready", "model": "moonshine-tiny-en"}

    def test_every_metric_is_shown(self, server: Server) -> None:
        answer = server.get("/metrics")

        assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
        shown = {family.name for family in text_string_to_metric_families(answer.text)}
        defined = [each for each in vars(Metrics()).values() if isinstance(each, MetricWrapperBase)]
        assert len(defined) > 15
        assert {family.name for each in defined for family in each.describe()} <= shown
        assert server.metric("scribewire_model_ready") == 1

    async def test_a_session_is_counted(self, server: Server) -> None:
        opened = server.metric("scribewire_sessions_opened_total")
        async with dial(server) as socket:
            await hear(socket)
            assert server.metric("scribewire_sessions") >= 1
            assert server.metric("scribewire_sessions_in_state", state="open") >= 1
            await socket.send(bytes(32_000))
            await socket.send('{"type": "stop"}')
            await hear_all(socket)

        assert server.metric("scribewire_sessions_opened_total") == opened + 1
        assert server.metric("scribewire_audio_seconds_total") >= 1

    async def test_each_stage_of_a_chunk_is_timed(self, one_place: Server) -> None:
        assert one_place.metric("scribewire_queue_seconds_count") == 0
        async with dial(one_place, "chunk_ms=500&endpoint_ms=0") as socket:
            await socket.send(pcm16("beckett.wav")[0])
            await socket.send('{"type": "stop"}')
            events = await hear_all(socket)

        timed = one_place.metric("scribewire_chunk_to_partial_seconds_count")
        assert timed >= len([event for event in events if event["type"] == "partial"]) > 0
        assert one_place.metric("scribewire_chunk_to_partial_seconds_sum") < 5 * timed
        steps = one_place.metric("scribewire_steps_total")
        assert 0 < steps == one_place.metric("scribewire_queue_seconds_count")
        assert one_place.metric("scribewire_queue_depth") == 0
        assert one_place.metric("scribewire_model_busy_seconds_total") > 0
        assert one_place.metric("scribewire_model_lanes") == 1
        assert one_place.metric("scribewire_draining") == 0
        async with asyncio.timeout(5):
            while not one_place.metric("scribewire_event_loop_late_seconds_count"):
                await asyncio.sleep(0.05)
            while one_place.metric("scribewire_sessions_in_state"):
                await asyncio.sleep(0.05)


class TestRefusals:
    @pytest.mark.parametrize(
        ("query", "code", "words"),
        [
            ("sample_rate=1", "invalid_option", "sample_rate must be a whole number from 8000"),
            ("encoding=mp3", "invalid_option", "encoding must be one of pcm_s16le"),
            ("samplerate=16000", "invalid_option", '"samplerate" is not an option'),
            ("channels=1&channels=2", "invalid_option", "channels is given 2 times"),
            ("format=xml", "invalid_option", "format must be one of json, msgpack"),
            ("format=json&format=msgpack", "invalid_option", "format is given 2 times"),
            ("language=de", "invalid_option", "en (English)"),
            ("encoding=speex", "invalid_option", "encoding must be one of pcm_s16le"),
            ("words=true", "unsupported", "words is not available"),
            ("session=a&resume=b", "invalid_option", "epoch is needed too"),
        ],
    )
    async def test_a_wrong_option_is_400_and_named(
        self, server: Server, query: str, code: str, words: str
    ) -> None:
        status, body = await refused(server, query)

        assert (status, body["type"], body["code"]) == (400, "error", code)
        assert words in body["message"]
        assert body["retryable"] is False

    async def test_another_path_is_404(self, server: Server) -> None:
        status, body = await refused(server, path="/v1/strean")

        assert (status, body["code"]) == (404, "not_found")

    async def test_a_full_gateway_says_when_to_come_back(self, one_place: Server) -> None:
        async with dial(one_place) as first:
            await hear(first)
            with pytest.raises(InvalidStatus) as refusal:
                await dial(one_place)
            await first.send('{"type": "stop"}')
            assert [event["type"] for event in await hear_all(first)] == ["done"]

        response = refusal.value.response
        body = json.loads(response.body or b"")
        assert (response.status_code, response.headers["retry-after"]) == (429, "5")
        assert (body["code"], body["retryable"]) == ("too_many_sessions", True)
        assert body["retry_after_ms"] == 5000
        assert one_place.metric("scribewire_refusals_total", code="too_many_sessions") == 1

    async def test_many_at_once_get_no_more_places_than_there_are(self, one_place: Server) -> None:
        results = await asyncio.gather(
            *(dial(one_place) for _ in range(10)), return_exceptions=True
        )

        sockets = [each for each in results if isinstance(each, ClientConnection)]
        assert [type(e) for e in results if e not in sockets] == [InvalidStatus] * 9
        await sockets[0].close()

    @pytest.mark.parametrize(
        ("path", "query", "code", "close_code"),
        [
            ("/v1/stream", "sample_rate=1", "invalid_option", 4520),
            ("/v1/stream", "words=true", "unsupported", 4523),
            ("/nowhere", "", "not_found", 4524),
        ],
    )
    async def test_a_browser_page_is_let_in_to_be_told_and_closed(
        self, server: Server, path: str, query: str, code: str, close_code: int
    ) -> None:
        """Its WebSocket API shows neither status nor body of a handshake that failed."""
        async with dial(server, query, path, origin=server.http) as socket:
            [error] = await hear_all(socket)

        assert (error["type"], error["code"]) == ("error", code)
        assert socket.close_code == close_code

    @pytest.mark.parametrize("offered", [JSON, MSGPACK])
    async def test_a_page_is_told_in_the_subprotocol_that_it_offered(
        self, server: Server, offered: Subprotocol
    ) -> None:
        """Browsers fail a connection that accepts none of what they offered, unread."""
        options = {"origin": server.http, "subprotocols": [offered]}
        async with dial(server, "sample_rate=1", **options) as socket:
            async with asyncio.timeout(WITHIN_S):
                message = await socket.recv()
            assert socket.subprotocol == offered
            assert isinstance(message, bytes) == (offered == MSGPACK)

    async def test_a_page_of_its_own_is_served(self, server: Server) -> None:
        async with dial(server, origin=server.http) as socket:
            assert (await hear(socket))["type"] == "ready"


class TestFormats:
    @pytest.mark.parametrize(
        ("query", "offered", "accepted"),
        [
            ("", [], None),
            ("", [JSON], JSON),
            ("", ["chat", MSGPACK, JSON], MSGPACK),
            ("format=msgpack", [], None),
            ("format=json", [MSGPACK, JSON], JSON),
            ("", ["scribewire.auth", "t0ken"], "scribewire.auth"),
            ("", ["chat"], None),
        ],
    )
    async def test_the_format_is_chosen_and_its_subprotocol_echoed(
        self, server: Server, query: str, offered: list[Any], accepted: str | None
    ) -> None:
        async with dial(server, query, subprotocols=offered or None) as socket:
            async with asyncio.timeout(WITHIN_S):
                ready = await socket.recv()

            assert socket.subprotocol == accepted
            assert isinstance(ready, bytes) == (accepted == MSGPACK or query == "format=msgpack")

    async def test_a_session_in_msgpack(self, server: Server) -> None:
        audio = pcm16("beckett.wav")[0][:51_200]
        async with dial(server, "format=msgpack") as socket:
            ready = await hear(socket)
            await socket.send(msgpack.packb({"type": "audio", "pcm": audio[:32_000]}))
            await socket.send(msgpack.packb(audio[32_000:]))  # a bare bin is audio too
            await socket.send(msgpack.packb({"type": "stop"}))
            events = [ready, *await hear_all(socket)]

        assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
        assert {event["session"] for event in events} == {ready["session"]}
        [final] = [event for event in events if event["type"] == "final"]
        assert final["text"].lower().startswith("ever tried")
        assert (events[-1]["type"], events[-1]["duration_ms"]) == ("done", 1600)
        assert socket.close_code == 1000

    async def test_compression_is_not_negotiated(self, server: Server) -> None:
        async with dial(server, compression="deflate") as socket:
            assert socket.response is not None
            assert "sec-websocket-extensions" not in socket.response.headers
