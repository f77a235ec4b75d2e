"""Who gets in, over real sockets: every path and every way to show a credential."""

import asyncio
import json
import time
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import InvalidStatus

from gateway.access.keys import add_key
from gateway.access.tokens import Claims, Tokens
from gateway.client import SessionError, connect
from gateway.settings import Settings
from tests.conftest import QUICK_MODEL, Server, serving
from tests.gateway.dialing import dial, hear, hear_all, refused
from tests.speech import pcm16

pytestmark = pytest.mark.timeout(30)

KEY = "swk_the-key-that-these-tests-have-01234567890"  # the same in every process of a run
OTHER = "swk_the-key-of-somebody-else-0123456789012345"
SECRET = "what both the tests and the gateway sign with"
THERE = {"X-Forwarded-For": "203.0.113.7"}


def quick(**settings: Any) -> Settings:
    return Settings(port=0, runner="thread", model=QUICK_MODEL, **settings)


@pytest.fixture(scope="module")
def keyed() -> Iterator[Server]:
    """A gateway that asks for a key."""
    settings = quick(api_keys=f"{KEY},{OTHER}", token_secret=SECRET, max_sessions_per_key=3)
    with serving(settings) as running:
        yield running


@pytest.fixture(scope="module")
def unkeyed() -> Iterator[Server]:
    """One that asks for none."""
    with serving(quick(token_secret=SECRET)) as running:
        yield running


def bearer(credential: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {credential}"}


def token(server: Server, **body: Any) -> str:
    """A token from the gateway itself."""
    answer = httpx.post(
        f"{server.http}/v1/tokens", json=body, headers=bearer(KEY), trust_env=False, timeout=10
    )
    assert answer.status_code == 200, answer.text
    made: str = answer.json()["token"]
    return made


async def opens(server: Server, query: str = "", **options: Any) -> None:
    """A session begins, and ends as it should."""
    async with dial(server, query, **options) as socket:
        assert (await hear(socket))["type"] == "ready"
        await socket.send('{"type": "stop"}')
        assert (await hear_all(socket))[-1]["type"] == "done"


class TestWithKeys:
    @pytest.mark.parametrize(
        "how",
        [
            {"additional_headers": {"Authorization": f"Bearer {KEY}"}},
            {"additional_headers": {"Authorization": f"Token {OTHER}"}},
            {"subprotocols": ["scribewire.json.v1", "scribewire.auth", KEY]},
            {"subprotocols": ["scribewire.auth", KEY]},
            {"subprotocols": ["token", KEY]},
            {"subprotocols": [f"openai-insecure-api-key.{KEY}", "scribewire.msgpack.v1"]},
        ],
    )
    async def test_a_key_opens_sessions(self, keyed: Server, how: dict[str, Any]) -> None:
        async with dial(keyed, **how) as socket:
            assert (await hear(socket))["type"] == "ready"
            assert KEY not in (socket.subprotocol or "")

    @pytest.mark.parametrize("way", ["header", "subprotocol", "deepgram", "query"])
    async def test_a_token_opens_one_session(self, keyed: Server, way: str) -> None:
        made = token(keyed)
        query, how = {
            "header": ("", {"additional_headers": bearer(made)}),
            "subprotocol": ("", {"subprotocols": ["scribewire.auth", made]}),
            "deepgram": ("", {"subprotocols": ["token", made]}),
            "query": (f"sample_rate=8000&token={made}", {}),
        }[way]
        await opens(keyed, query, **how)
        status, error = await refused(keyed, query, **how)

        assert (status, error["code"]) == (401, "unauthorized")
        assert "was for one session" in error["message"]

    async def test_a_token_for_many_opens_many(self, keyed: Server) -> None:
        made = token(keyed, single_use=False, expires_in_s=7200)
        for _ in range(3):
            await opens(keyed, f"token={made}")

    @pytest.mark.parametrize(
        ("query", "how", "reason"),
        [
            ("", {}, "missing"),
            ("", {"additional_headers": bearer("swk_wrong")}, "invalid"),
            ("", {"additional_headers": bearer(KEY[:-1])}, "invalid"),
            ("", {"additional_headers": bearer("swt1.a.b")}, "invalid"),
            ("", {"additional_headers": {"Authorization": f"Basic {KEY}"}}, "invalid"),
            (
                "",
                {"additional_headers": {"Cookie": f"token={KEY}; Authorization={KEY}"}},
                "missing",
            ),
            ("", {"subprotocols": ["scribewire.json.v1"]}, "missing"),
            ("", {"subprotocols": ["token", "wrong"]}, "invalid"),
            ("token=" + KEY, {}, "key_in_address"),
            ("api_key=" + KEY, {}, "missing"),
            ("key=" + KEY, {}, "missing"),
        ],
    )
    async def test_without_a_valid_one_the_handshake_is_refused(
        self, keyed: Server, query: str, how: dict[str, Any], reason: str
    ) -> None:
        before = keyed.metric("scribewire_access_denied_total", reason=reason)
        with pytest.raises(InvalidStatus) as refusal:
            await dial(keyed, query, **how)

        response = refusal.value.response
        body = json.loads(response.body or b"")
        assert (response.status_code, body["type"]) == (401, "error")
        assert (body["code"], body["retryable"]) == ("unauthorized", False)
        assert response.headers["www-authenticate"] == 'Bearer realm="scribewire"'
        assert KEY not in str(body)
        assert keyed.metric("scribewire_access_denied_total", reason=reason) == before + 1

    @pytest.mark.parametrize(("lifetime_s", "status"), [(60, None), (-1, 401)])
    async def test_a_token_that_expired_is_refused(
        self, keyed: Server, lifetime_s: int, status: int | None
    ) -> None:
        key = next(iter(_keys(keyed)))
        claims = Claims(key.name, int(time.time()) + lifetime_s)
        made = Tokens(SECRET).issue(claims, key)
        if status is None:
            await opens(keyed, f"token={made}")
            return
        got, error = await refused(keyed, f"token={made}")
        assert (got, "expired" in error["message"]) == (401, True)

    async def test_a_token_of_a_gateway_without_keys_is_good_for_nothing(
        self, keyed: Server
    ) -> None:
        made = Tokens(SECRET).issue(Claims("", int(time.time()) + 60), None)

        assert (await refused(keyed, f"token={made}"))[0] == 401

    @pytest.mark.parametrize(
        ("method", "path"),
        [("GET", "/v1/stream"), ("POST", "/v1/tokens"), ("POST", "/v1/realtime/client_secrets"),
         ("GET", "/v1/nothing"), ("GET", "/nowhere"), ("POST", "/"), ("GET", "//static/app.js"),
         ("GET", "/v1/stream/../../healthz")],
    )  # fmt: skip
    def test_every_other_path_asks_for_it(self, keyed: Server, method: str, path: str) -> None:
        """What will be added is closed before anybody thinks of it."""
        # Unlike httpx, it sends a path as it is.
        connection = HTTPConnection(keyed.http.removeprefix("http://"), timeout=10)
        connection.request(method, path)
        status = connection.getresponse().status
        connection.close()

        assert status == (405 if path == "/" else 401)

    @pytest.mark.parametrize("path", ["/", "/healthz", "/readyz", "/static/app.js"])
    def test_the_page_and_the_health_are_open(self, keyed: Server, path: str) -> None:
        assert keyed.get(path).status_code == 200

    @pytest.mark.parametrize("path", ["/", "/healthz", "/static/app.js", "/metrics"])
    async def test_no_websocket_is_open(self, keyed: Server, path: str) -> None:
        assert (await refused(keyed, path=path))[0] == 401

    async def test_sessions_of_a_key_are_counted_also_through_tokens(self, keyed: Server) -> None:
        made = token(keyed, single_use=False)
        async with (
            dial(keyed, additional_headers=bearer(KEY)),
            dial(keyed, f"token={made}"),
            dial(keyed, f"token={made}"),
        ):
            with pytest.raises(InvalidStatus) as refusal:
                await dial(keyed, additional_headers=bearer(KEY))
            asked = keyed.get("/v1/stream", **bearer(made))
            await opens(keyed, additional_headers=bearer(OTHER))

        response = refusal.value.response
        error = json.loads(response.body or b"")
        assert (response.status_code, response.headers["retry-after"]) == (429, "5")
        assert (error["code"], error["retryable"]) == ("too_many_sessions", True)
        assert (asked.status_code, asked.json()) == (429, error)
        assert keyed.metric("scribewire_limits_reached_total", setting="max_sessions_per_key") == 2

    def test_a_page_can_ask_why_its_handshake_was_refused(self, keyed: Server) -> None:
        asked = keyed.get("/v1/stream")
        good = keyed.get("/v1/stream", **bearer(KEY))

        assert (asked.status_code, asked.json()["code"]) == (401, "unauthorized")
        assert (good.status_code, good.headers["upgrade"]) == (426, "websocket")


def _keys(server: Server) -> Any:
    from gateway.access.keys import load_keys

    return load_keys("", server.settings.api_keys.get_secret_value())._by_name.values()


class TestWithoutKeys:
    @pytest.mark.parametrize("credential", ["anything", "swk_unknown"])
    async def test_a_key_that_was_not_asked_for_is_ignored(
        self, unkeyed: Server, credential: str
    ) -> None:
        """Other protocols' clients always send one."""
        await opens(unkeyed, additional_headers=bearer(credential))
        await opens(unkeyed, additional_headers={"Authorization": "Basic YTpi"})

    async def test_a_token_is_made_and_holds_who_shows_it(self, unkeyed: Server) -> None:
        made = token(unkeyed, options={"language": "en"}, single_use=False)
        async with dial(unkeyed, f"token={made}") as socket:
            assert (await hear(socket))["options"]["language"] == "en"
        status, error = await refused(unkeyed, f"token={made[:-4]}AAAA")

        assert (status, error["code"]) == (401, "unauthorized")

    @pytest.mark.parametrize("path", ["/v1/stream", "/metrics", "/nowhere"])
    def test_a_name_made_to_point_here_is_not_served(self, unkeyed: Server, path: str) -> None:
        """DNS rebinding: the attacker's page is of the same origin as this server."""
        answer = unkeyed.get(path, Host="rebound.evil.example")

        assert answer.status_code == (401 if path == "/metrics" else 403)

    async def test_a_name_made_to_point_here_opens_no_session(self, unkeyed: Server) -> None:
        port = unkeyed.ws.rsplit(":", 1)[1]
        rebound = f"rebound.evil.example:{port}"
        socket = dial(Server(f"ws://{rebound}", unkeyed.settings), origin=f"http://{rebound}",
                      host="127.0.0.1", port=int(port))  # fmt: skip
        with pytest.raises(InvalidStatus) as refusal:
            await socket

        assert refusal.value.response.status_code == 403


class TestOrigins:
    @pytest.mark.parametrize(
        "origin",
        ["null", "https://evil.example", "http://127.0.0.1", "http://127.0.0.1:1",
         "http://localhost:{port}", "https://127.0.0.1:{port}", "http://127.0.0.1:{port}.evil.example",
         "http://evil.example/http://127.0.0.1:{port}", "http://127.0.0.1:{port}@evil.example"],
    )  # fmt: skip
    async def test_a_page_from_elsewhere_is_refused_before_the_handshake(
        self, unkeyed: Server, keyed: Server, origin: str
    ) -> None:
        for server in (unkeyed, keyed):
            named = origin.format(port=server.ws.rsplit(":", 1)[1])
            status, error = await refused(server, origin=named, additional_headers=bearer(KEY))
            assert (status, error["code"], error["type"]) == (403, "forbidden_origin", "error")

    async def test_two_origins_are_refused(self, unkeyed: Server) -> None:
        twice = [("Origin", unkeyed.http), ("Origin", unkeyed.http)]

        with pytest.raises(InvalidStatus) as refusal:
            await dial(unkeyed, additional_headers=twice)
        assert refusal.value.response.status_code == 400  # by the WebSocket library itself

    async def test_its_own_page_is_let_in(self, unkeyed: Server) -> None:
        await opens(unkeyed, origin=unkeyed.http)

    def test_a_request_from_elsewhere_is_refused_too(self, unkeyed: Server) -> None:
        answer = httpx.post(
            f"{unkeyed.http}/v1/tokens", headers={"Origin": "https://evil.example"}, trust_env=False
        )

        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden_origin")


class TestAddresses:
    async def test_sessions_of_an_address_behind_a_trusted_proxy(self) -> None:
        with serving(quick(max_sessions_per_address=1)) as server:
            async with dial(server, additional_headers=THERE):
                status, error = await refused(server, additional_headers=THERE)
                await opens(server, additional_headers={"X-Forwarded-For": "203.0.113.8"})
                # What the client itself put in front of the proxy's own word is not believed.
                spoofed = {"X-Forwarded-For": "198.51.100.1, 203.0.113.7"}
                assert (await refused(server, additional_headers=spoofed))[0] == 429

        assert (status, error["code"]) == (429, "too_many_sessions")

    async def test_a_proxy_that_is_not_trusted_says_nothing(self) -> None:
        settings = quick(max_sessions_per_address=1, trusted_proxies="192.0.2.1")
        with serving(settings) as server:
            async with dial(server, additional_headers=THERE):
                await opens(server, additional_headers=THERE)

    async def test_handshakes_of_an_address(self) -> None:
        with serving(quick(handshakes_per_minute=3, api_keys=KEY)) as server:
            for _ in range(3):
                assert (await refused(server, additional_headers=THERE))[0] == 401
            with pytest.raises(InvalidStatus) as refusal:
                await dial(server, additional_headers=THERE | bearer(KEY))
            await opens(server, additional_headers=bearer(KEY))
            limited = server.metric(
                "scribewire_limits_reached_total", setting="handshakes_per_minute"
            )

        response = refusal.value.response
        assert response.status_code == 429
        assert 1 <= int(response.headers["retry-after"]) <= 20
        assert limited == 1

    @pytest.mark.parametrize(
        ("settings", "headers", "status"),
        [
            ({}, {}, 200),
            ({}, THERE, 401),
            ({"metrics_open": True}, THERE, 200),
            ({"api_keys": KEY}, {}, 200),
            ({"api_keys": KEY}, THERE, 401),
            ({"api_keys": KEY}, THERE | bearer(KEY), 200),
            ({"api_keys": KEY}, THERE | bearer("swk_wrong"), 401),
        ],
    )
    def test_metrics_are_for_this_machine_and_for_keys(
        self, settings: dict[str, Any], headers: dict[str, str], status: int
    ) -> None:
        with serving(quick(**settings)) as server:
            answer = server.get("/metrics", **headers)

        assert answer.status_code == status


class TestSessions:
    async def test_audio_beyond_the_day_s_ends_the_session_after_its_finals(
        self, tmp_path: Path
    ) -> None:
        file = tmp_path / "keys.json"
        key = add_key(file, "alice", None, 2 / 60)
        audio = pcm16("beckett.wav")[0]
        with serving(quick(keys_file=str(file))) as server:
            async with dial(server, additional_headers=bearer(key)) as socket:
                await hear(socket)
                for at in range(0, 96_000, 3200):
                    await socket.send(audio[at : at + 3200])
                events = await hear_all(socket)
            status, error = await refused(server, additional_headers=bearer(key))
            asked = server.get("/v1/stream", **bearer(key))

        said = [event["type"] for event in events]
        assert socket.close_code == 4529
        assert "final" in said[said.index("error") :]
        assert said[-1] == "done"
        [told] = [event for event in events if event["type"] == "error"]
        assert (told["code"], told["retryable"]) == ("quota_exceeded", False)
        assert 2000 <= events[-1]["duration_ms"] <= 2100
        assert (status, error["code"]) == (429, "quota_exceeded")
        assert 0 < int(asked.headers["retry-after"]) <= 86_400

    async def test_what_a_token_fixes_cannot_be_changed(self, keyed: Server) -> None:
        made = token(keyed, single_use=False, options={"language": "en", "context": "Godot"})
        status, error = await refused(keyed, f"token={made}&language=auto")
        async with dial(keyed, f"token={made}&language=EN&chunk_ms=1000") as socket:
            ready = await hear(socket)
            await socket.send('{"type": "configure", "id": "c1", "context": "Vladimir"}')
            refusal = await hear(socket)
            await socket.send('{"type": "configure", "id": "c2", "chunk_ms": 3000}')
            changed = await hear(socket)

        assert (status, error["code"]) == (400, "invalid_option")
        assert error["message"] == "language is fixed by the token: leave it out."
        options = ready["options"]
        assert (options["language"], options["context"], options["chunk_ms"]) == (
            "en", "Godot", 1000,
        )  # fmt: skip
        assert (refusal["code"], refusal["id"]) == ("invalid_option", "c1")
        assert (changed["options"]["chunk_ms"], changed["options"]["context"]) == (3000, "Godot")

    async def test_sessions_have_names_that_cannot_be_guessed_and_are_nobody_else_s(
        self, keyed: Server
    ) -> None:
        """Whether a session exists is not told to another key, not even by the words."""
        async with dial(keyed, additional_headers=bearer(KEY)) as socket:
            name = (await hear(socket))["session"]
            answers = [
                await refused(keyed, f"session={each}&resume=x", additional_headers=bearer(OTHER))
                for each in (name, "0" * 32)
            ]

        assert len(bytes.fromhex(name)) == 16
        assert answers[0] == answers[1]
        assert answers[0][0] == 400

    async def test_a_sender_of_too_many_messages_is_read_slower_and_not_lost(self) -> None:
        with serving(quick(max_messages_per_s=50)) as server:
            async with dial(server) as socket:
                await hear(socket)
                began = time.monotonic()
                for i in range(100):
                    await socket.send(json.dumps({"type": "ping", "id": str(i)}))
                pongs = [(await hear(socket))["id"] for _ in range(100)]
            took = time.monotonic() - began
            paced = server.metric("scribewire_paced_seconds_total")

        assert pongs == [str(i) for i in range(100)]
        assert took > 0.5  # a hundred at once take two seconds, less the burst of one
        assert paced > 0.5


async def test_many_at_once_get_no_more_places_than_a_key_has() -> None:
    with serving(quick(api_keys=KEY, max_sessions_per_key=2)) as server:
        results = await asyncio.gather(
            *(dial(server, additional_headers=bearer(KEY)) for _ in range(12)),
            return_exceptions=True,
        )
        sockets = [each for each in results if isinstance(each, ClientConnection)]
        for socket in sockets:
            await socket.close()
        async with asyncio.timeout(5):
            while server.get("/v1/stream", **bearer(KEY)).status_code == 429:
                await asyncio.sleep(0.02)
        await opens(server, additional_headers=bearer(KEY))

    assert len(sockets) == 2
    assert {type(each) for each in results if each not in sockets} == {InvalidStatus}


async def test_the_client_shows_its_key_and_is_told_when_it_is_none() -> None:
    with serving(quick(api_keys=KEY)) as server:
        async with connect(server.ws, api_key=KEY) as session:
            await session.stop()
            assert [event["type"] async for event in session][-1] == "done"
        for wrong in (None, "swk_wrong"):
            with pytest.raises(SessionError) as refusal:
                async with connect(server.ws, api_key=wrong):
                    pass
            assert (refusal.value.code, refusal.value.http_status) == ("unauthorized", 401)
        told = server.metric("scribewire_refusals_total", code="unauthorized")

    assert told == 2


async def test_one_token_raced_by_many_opens_one() -> None:
    with serving(quick(api_keys=KEY)) as server:
        made = token(server)
        results = await asyncio.gather(
            *(dial(server, f"token={made}") for _ in range(12)), return_exceptions=True
        )
        sockets = [each for each in results if isinstance(each, ClientConnection)]
        for socket in sockets:
            await socket.close()

    assert len(sockets) == 1
