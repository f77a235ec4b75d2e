"""Uploads over HTTP: what is refused and how, and that work ends with whoever wanted it."""

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import httpx
import pytest

from gateway.access.keys import new_key
from gateway.audio import decode_file
from gateway.settings import Settings
from tests.conftest import QUICK_MODEL, Server, serving
from tests.engine.models.doubles import HeldModel
from tests.gateway.dialing import dial, hear
from tests.media import recorded
from tests.speech import speech
from tests.waiting import until

PATH = "/v1/audio/transcriptions"
KEY, SPENT_KEY = new_key(), new_key()
TWO_CITIES = speech("two_cities.wav").read_bytes()

pytestmark = pytest.mark.timeout(60)


class ObservedModel(HeldModel):
    """`latest` is the one that a gateway in this process has loaded."""

    latest: "ObservedModel"

    def __init__(self) -> None:
        super().__init__()
        ObservedModel.latest = self


OBSERVED_MODEL = f"{__name__}:{ObservedModel.__name__}"


def quick(**settings: Any) -> Any:
    return serving(Settings(port=0, runner="thread", **{"model": QUICK_MODEL, **settings}))


@pytest.fixture(scope="module")
def small() -> Iterator[Server]:
    """A gateway that takes little."""
    with quick(max_upload_bytes=300_000, max_upload_s=5) as running:
        yield running


@pytest.fixture(scope="module")
def keyed() -> Iterator[Server]:
    """A gateway that a key may send one minute of audio in a day."""
    with quick(api_keys=f"{KEY},{SPENT_KEY}", audio_minutes_per_day=1) as running:
        yield running


def post(server: Server, file: bytes | None, **fields: str) -> httpx.Response:
    files = {} if file is None else {"file": ("any.name", file)}
    data = {"model": "any", **fields}
    return httpx.post(server.http + PATH, data=data, files=files, trust_env=False, timeout=20)


def refusal(response: httpx.Response, status: int) -> dict[str, Any]:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/json"
    error: dict[str, Any] = response.json()["error"]
    assert error.keys() == {"message", "type", "param", "code"}
    assert error["message"].endswith(".")
    return error


class TestRefusals:
    @pytest.mark.parametrize("stream", ["true", "false"])
    def test_an_empty_file(self, server: Server, stream: str) -> None:
        error = refusal(post(server, b"", stream=stream), 400)

        assert error["message"].startswith("audio_data is empty")
        assert (error["type"], error["param"]) == ("invalid_request_error", "file")

    @pytest.mark.parametrize("stream", ["true", "false"])
    @pytest.mark.parametrize("content", [b"garbage" * 999, b"RIFF\0\0\0\0WAVE" + b"garbage" * 999])
    def test_a_file_that_is_no_audio(self, server: Server, content: bytes, stream: str) -> None:
        error = refusal(post(server, content, stream=stream), 400)

        assert error["message"].startswith("The file is not audio, or damaged: send wav, flac")
        assert (error["code"], error["param"]) == ("invalid_audio", "file")

    def test_no_file(self, server: Server) -> None:
        response = httpx.post(server.http + PATH, files={"model": (None, "any")}, trust_env=False)

        assert refusal(response, 400)["param"] == "file"

    def test_a_file_under_another_name(self, server: Server) -> None:
        files = {"audio": ("a.wav", TWO_CITIES)}
        response = httpx.post(
            server.http + PATH, data={"model": "any"}, files=files, trust_env=False
        )

        assert refusal(response, 400)["param"] == "file"

    @pytest.mark.parametrize(
        ("field", "value"),
        [("model", ""), ("response_format", "xml"), ("language", "de"), ("colour", "red")],
    )
    def test_a_wrong_field_is_named(self, server: Server, field: str, value: str) -> None:
        error = refusal(post(server, TWO_CITIES, **{field: value}), 400)

        assert (error["param"], error["code"]) == (field, "invalid_option")

    def test_word_times_without_an_aligner(self, server: Server) -> None:
        error = refusal(
            post(
                server, TWO_CITIES, response_format="verbose_json",
                **{"timestamp_granularities[]": "word"},
            ),
            400,
        )  # fmt: skip

        assert error["message"].startswith("timestamp_granularities word is not available")
        assert (error["param"], error["code"]) == ("timestamp_granularities", "unsupported")

    @pytest.mark.parametrize(
        ("kind", "body"),
        [
            ("application/json", b"{}"),
            ("multipart/form-data", b"--x--"),
            ("multipart/form-data; boundary=x", b"no form"),
            ("", b"RIFF"),
        ],
    )
    def test_what_is_no_form(self, server: Server, kind: str, body: bytes) -> None:
        response = httpx.post(
            server.http + PATH, content=body, headers={"content-type": kind}, trust_env=False
        )

        assert refusal(response, 400)["code"] == "invalid_message"

    def test_two_files(self, server: Server) -> None:
        files = [("file", ("a", TWO_CITIES)), ("file", ("b", TWO_CITIES))]
        response = httpx.post(
            server.http + PATH, data={"model": "any"}, files=files, trust_env=False
        )

        assert refusal(response, 400)["code"] == "invalid_message"

    def test_a_file_that_is_too_long(self, small: Server) -> None:
        audio = recorded(decode_file(speech("beckett.wav")), "flac")

        error = refusal(post(small, audio), 413)

        assert error["message"] == "The audio is too long: send at most 5 seconds."
        assert (error["code"], error["param"]) == ("too_large", "file")

    def test_a_file_that_is_too_large(self, small: Server) -> None:
        error = refusal(post(small, TWO_CITIES), 413)

        assert error["message"] == "The request is too large: send at most 300000 bytes."

    def test_a_file_that_is_too_large_and_does_not_say_so(self, small: Server) -> None:
        def body() -> Iterator[bytes]:
            yield b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
            yield from [bytes(60_000)] * 6

        kind = {"content-type": "multipart/form-data; boundary=x"}
        response = httpx.post(small.http + PATH, content=body(), headers=kind, trust_env=False)

        assert refusal(response, 413)["code"] == "too_large"

    def test_a_body_that_stops_coming(self) -> None:
        with quick(idle_timeout_s=0.2) as server:
            head = f"POST {PATH} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n"
            head += "Content-Type: multipart/form-data; boundary=x\r\n\r\n--"
            answer = asyncio.run(_raw(server, head.encode()))

        assert answer.startswith(b"HTTP/1.1 400")
        assert b'"code":"idle_timeout"' in answer


async def _raw(server: Server, request: bytes) -> bytes:
    host, port = server.http.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        writer.write(request)
        async with asyncio.timeout(10):
            return await reader.read(4096)
    finally:
        writer.close()
        await writer.wait_closed()


class TestKeys:
    def ask(self, server: Server, key: str, **fields: str) -> httpx.Response:
        return httpx.post(
            server.http + PATH, data={"model": "any", **fields}, files={"file": TWO_CITIES},
            headers={"Authorization": f"Bearer {key}"}, trust_env=False, timeout=20,
        )  # fmt: skip

    def token(self, server: Server, **options: str) -> str:
        answer = httpx.post(
            f"{server.http}/v1/tokens", json={"options": options}, trust_env=False,
            headers={"Authorization": f"Bearer {KEY}"},
        )  # fmt: skip
        return str(answer.json()["token"])

    def test_without_one_nothing_is_read(self, keyed: Server) -> None:
        assert self.ask(keyed, "sw_made_up").status_code == 401

    def test_a_token_is_for_one_file_and_fixes_options(self, keyed: Server) -> None:
        token = self.token(keyed, language="en")

        fixed = refusal(self.ask(keyed, token, language="de"), 400)
        again = self.ask(keyed, token, language="en")

        assert (fixed["message"], fixed["param"]) == (
            "language is fixed by the token: leave it out.", "language",
        )  # fmt: skip
        assert again.status_code == 401
        assert again.json()["message"].startswith("This token was for one session")

    def test_audio_counts_and_a_file_beyond_the_quota_is_refused(self, keyed: Server) -> None:
        assert self.ask(keyed, SPENT_KEY).status_code == 200  # 44 s
        streamed = self.ask(keyed, SPENT_KEY, stream="true")
        at_once = refusal(self.ask(keyed, SPENT_KEY), 429)

        assert '"code":"quota_exceeded"' in streamed.text
        assert "[DONE]" not in streamed.text
        assert (at_once["code"], at_once["type"]) == ("quota_exceeded", "rate_limit_error")


class TestModels:
    def test_the_one_there_is(self, server: Server) -> None:
        [model] = server.get("/v1/models").json()["data"]

        assert (model["id"], model["object"]) == ("moonshine-tiny-en", "model")
        assert server.get("/v1/models/moonshine-tiny-en").json() == model

    def test_another_is_404(self, server: Server) -> None:
        assert refusal(server.get("/v1/models/whisper-1"), 404)["code"] == "not_found"


class Request:
    """A request under way, and the lines of its answer."""

    def __init__(self, server: Server, **fields: str) -> None:
        self.lines: list[str] = []
        self.status = 0
        self._task = asyncio.create_task(self._run(server, {"model": "any", **fields}))

    async def _run(self, server: Server, data: dict[str, str]) -> None:
        async with (
            httpx.AsyncClient(trust_env=False, timeout=30) as client,
            client.stream(
                "POST", server.http + PATH, data=data, files={"file": TWO_CITIES}
            ) as response,
        ):
            self.status = response.status_code
            async for line in response.aiter_lines():
                self.lines.append(line)

    async def leave(self) -> None:
        """Closes the connection."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def end(self) -> str:
        async with asyncio.timeout(30):
            await self._task
        return "\n".join(self.lines)


class TestLeaving:
    @pytest.mark.parametrize("stream", ["true", "false"])
    async def test_a_client_that_goes_away_stops_the_work_before_the_next_step(
        self, stream: str
    ) -> None:
        with serving(Settings(port=0, runner="thread", model=OBSERVED_MODEL)) as server:
            model = ObservedModel.latest
            request = Request(server, stream=stream)
            if stream == "true":
                model.permit(4)
                await until(lambda: any("delta" in line for line in request.lines))
            await until(lambda: model.waiting)
            taken = len(model.taken)

            await request.leave()
            await until(lambda: server.metric("scribewire_uploads_total", outcome="gone") == 1)
            model.permit(1000)
            after = Request(server)
            await after.end()

            [gone] = {step.key.session for batch in model.taken[:taken] for step in batch}
            assert len(model.taken) > taken
            assert all(step.key.session != gone for batch in model.taken[taken:] for step in batch)
            assert server.metric("scribewire_sessions") == 0

    async def test_a_client_that_leaves_while_it_sends_is_not_missed(self, small: Server) -> None:
        gone = small.metric("scribewire_uploads_total", outcome="gone")
        host, port = small.http.removeprefix("http://").split(":")
        _, writer = await asyncio.open_connection(host, int(port))
        head = f"POST {PATH} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99\r\n"
        head += "Content-Type: multipart/form-data; boundary=x\r\n\r\n--x"
        writer.write(head.encode())
        await writer.drain()
        await until(lambda: small.metric("scribewire_sessions") == 1)
        writer.transport.abort()

        await until(lambda: small.metric("scribewire_uploads_total", outcome="gone") == gone + 1)
        assert small.metric("scribewire_sessions") == 0


class TestLimits:
    async def test_a_full_gateway_says_when_to_come_back(self) -> None:
        with quick(model=OBSERVED_MODEL, max_uploads=1) as server:
            first = Request(server)
            await until(lambda: ObservedModel.latest.waiting)

            second = await asyncio.to_thread(post, server, TWO_CITIES)
            ObservedModel.latest.permit(1000)
            await first.end()

        assert refusal(second, 429)["type"] == "rate_limit_error"
        assert second.headers["retry-after"] == "5"
        assert first.status == 200

    async def test_live_sessions_are_not_kept_waiting(self) -> None:
        """Their places are their own, and uploads count as sessions."""
        with quick(model=OBSERVED_MODEL, max_uploads=1) as server:
            upload = Request(server)
            await until(lambda: ObservedModel.latest.waiting)
            async with dial(server) as socket:
                assert (await hear(socket))["type"] == "ready"
                assert server.metric("scribewire_sessions") == 2
            ObservedModel.latest.permit(1000)
            await upload.end()

    @pytest.mark.parametrize("stream", ["true", "false"])
    async def test_a_process_that_ends_does_not_wait_for_a_long_file(self, stream: str) -> None:
        with ExitStack() as gateway:
            server = gateway.enter_context(quick(model=OBSERVED_MODEL, drain_s=0.1))
            model = ObservedModel.latest
            request = Request(server, stream=stream)
            if stream == "true":
                model.permit(4)
                await until(lambda: any("delta" in line for line in request.lines))
            await until(lambda: model.waiting)
            leaving = asyncio.create_task(asyncio.to_thread(gateway.close))
            answer = await request.end()
            model.permit(1000)
            await leaving

        assert request.status == (200 if stream == "true" else 503)
        assert '"code":"shutting_down"' in answer
        assert "[DONE]" not in answer
