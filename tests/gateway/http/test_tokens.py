"""``POST /v1/tokens`` and its alias: what may be asked for, and what comes back."""

import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from gateway.access.keys import load_keys, new_key
from gateway.access.tokens import Tokens
from gateway.settings import Settings
from tests.conftest import QUICK_MODEL, Server, serving

KEY = new_key()
SECRET = "what both the tests and the gateway sign with"


@pytest.fixture(scope="module")
def keyed() -> Iterator[Server]:
    settings = Settings(
        port=0, runner="thread", model=QUICK_MODEL, api_keys=KEY, token_secret=SECRET,
        token_max_s=3600,
    )  # fmt: skip
    with serving(settings) as running:
        yield running


def post(server: Server, path: str = "/v1/tokens", key: str = KEY, **body: Any) -> httpx.Response:
    headers = {"Authorization": f"Bearer {key}"}
    return httpx.post(
        server.http + path, headers=headers, trust_env=False, timeout=10,
        **(body or {"content": b""}),
    )  # fmt: skip


def claims(token: str) -> Any:
    return Tokens(SECRET).read(token, load_keys("", KEY))[0]


def test_without_a_body_it_is_for_one_session_within_a_minute(keyed: Server) -> None:
    answer = post(keyed)

    made = answer.json()
    assert answer.headers["cache-control"] == "no-store"
    assert (made["single_use"], made["options"]) == (True, {})
    assert made["expires_at"] == pytest.approx(time.time() + 60, abs=5)
    assert claims(made["token"]).id
    assert claims(made["token"]).expires_at == made["expires_at"]


def test_all_of_it_can_be_asked_for(keyed: Server) -> None:
    options = {"language": "en", "sample_rate": "8000", "words": False}
    made = post(keyed, json={"expires_in_s": 3600, "single_use": False, "options": options}).json()

    said = claims(made["token"])
    assert made["options"] == {"language": "en", "sample_rate": 8000, "words": False}
    assert said.options == made["options"]
    assert (said.id, said.key, said.session) == (None, "env1", None)
    assert made["expires_at"] == pytest.approx(time.time() + 3600, abs=5)


def test_two_tokens_are_never_the_same(keyed: Server) -> None:
    assert post(keyed).json()["token"] != post(keyed).json()["token"]


@pytest.mark.parametrize(
    ("body", "code", "words"),
    [
        ({"expires_in_s": 0}, "invalid_message", "expires_in_s: input should be greater"),
        ({"expires_in_s": 3601}, "invalid_option", "3600 s at most"),
        ({"expires_in_s": "60"}, "invalid_message", "expires_in_s: "),
        ({"expires_in_s": 10**30}, "invalid_option", "3600 s at most"),
        ({"single_use": "no"}, "invalid_message", "single_use: "),
        ({"lifetime": 60}, "invalid_message", "lifetime: "),
        ({"options": []}, "invalid_message", "options: "),
        ({"options": {"sample_rate": 1}}, "invalid_option", "sample_rate must be"),
        ({"options": {"samplerate": 1}}, "invalid_option", '"samplerate" is not an option'),
        ({"options": {"language": "xx"}}, "invalid_option", "en (English)"),
        ({"options": {"words": True}}, "unsupported", "words"),
        ({"options": {"context": "é" * 2000}}, "invalid_option", "too much for a token"),
        ([], "invalid_message", "The body: "),
        (None, "invalid_message", "The body: "),
    ],
)
def test_what_cannot_be_had_is_named(keyed: Server, body: Any, code: str, words: str) -> None:
    answer = post(keyed, json=body) if body is not None else post(keyed, content=b"null")

    error = answer.json()
    assert (answer.status_code, error["type"], error["code"]) == (400, "error", code)
    assert words in error["message"]


@pytest.mark.parametrize("content", [b"{", b"\xff", b"{} {}", b"[" * 60_000, b"x" * 70_000])
def test_what_is_no_json_is_refused(keyed: Server, content: bytes) -> None:
    answer = post(keyed, content=content)

    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_message")


def test_a_token_makes_no_tokens(keyed: Server) -> None:
    """Else it would never end."""
    made = post(keyed, json={"single_use": False}).json()["token"]
    for path in ("/v1/tokens", "/v1/realtime/client_secrets"):
        answer = post(keyed, path, key=made)
        assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized")
        assert answer.headers["www-authenticate"].startswith("Bearer")


class TestClientSecrets:
    PATH = "/v1/realtime/client_secrets"

    def test_the_session_comes_back_and_is_in_the_secret(self, keyed: Server) -> None:
        session = {"type": "transcription", "audio": {"input": {"transcription": {"model": "m"}}}}
        body = {"expires_after": {"anchor": "created_at", "seconds": 10}, "session": session}
        made = post(keyed, self.PATH, json=body).json()

        assert set(made) == {"value", "expires_at", "session"}
        assert made["session"] == session
        said = claims(made["value"])
        assert (said.session, said.id, said.options) == (session, None, {})
        assert made["expires_at"] == pytest.approx(time.time() + 10, abs=5)

    def test_by_default_it_holds_for_ten_minutes(self, keyed: Server) -> None:
        made = post(keyed, self.PATH).json()

        assert made["session"] == {"type": "transcription"}
        assert made["expires_at"] == pytest.approx(time.time() + 600, abs=5)

    @pytest.mark.parametrize(
        "body",
        [
            {"expires_after": {"seconds": 9}},
            {"expires_after": {"seconds": 7201}},
            {"expires_after": {"anchor": "last_used", "seconds": 60}},
            {"session": {"type": "realtime"}},
            {"session": {}},
        ],
    )
    def test_what_is_none_is_refused(self, keyed: Server, body: dict[str, Any]) -> None:
        answer = post(keyed, self.PATH, json=body)

        assert (answer.status_code, answer.json()["code"]) == (400, "invalid_message")
