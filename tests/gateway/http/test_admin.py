"""``POST /admin/drain``: who may end the gateway, and what it does then."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.access.keys import add_key
from gateway.settings import Settings
from tests.conftest import QUICK_MODEL, Server, serving
from tests.gateway.dialing import dial, hear, hear_all, refused
from tests.speech import pcm16

ELSEWHERE = {"X-Forwarded-For": "203.0.113.7"}
KEYS: dict[str, str] = {}
"""By whose they are."""


A_SECOND_A_STEP = "tests.gateway.test_server:DeliberateModel"


def quick(model: str = QUICK_MODEL, **settings: Any) -> Any:
    return serving(Settings(port=0, runner="thread", model=model, **settings))


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With an operator's key, and somebody's."""
    file: Path = tmp_path_factory.mktemp("keys") / "keys.json"
    KEYS["ops"] = add_key(file, "ops", None, None, admin=True)
    KEYS["alice"] = add_key(file, "alice", None, None)
    return file


@pytest.fixture(scope="module")
def keyed(file: Path) -> Iterator[Server]:
    """A gateway that asks for keys."""
    with quick(keys_file=str(file)) as running:
        yield running


@pytest.fixture(scope="module")
def one_more() -> Iterator[Server]:
    """One that asks for no keys."""
    with quick() as running:
        yield running


def post(server: Server, path: str = "/admin/drain", **options: Any) -> httpx.Response:
    return httpx.post(server.http + path, timeout=10, trust_env=False, **options)


def bearer(credential: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {credential}"}


class TestWhoMayNot:
    @pytest.mark.parametrize("whose", ["nobody", "alice", "a stranger", "a token of the operator"])
    def test_where_keys_are_asked_for(self, keyed: Server, whose: str) -> None:
        """Not even from the gateway's own machine."""
        made = post(keyed, "/v1/tokens", headers=bearer(KEYS["ops"])).json()["token"]
        headers = {
            "nobody": {},
            "alice": bearer(KEYS["alice"]),
            "a stranger": bearer(KEYS["ops"][:-1] + "!"),
            "a token of the operator": bearer(made),
        }[whose]
        answer = post(keyed, headers=headers)

        assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized")
        assert keyed.get("/readyz").status_code == 200

    @pytest.mark.parametrize(
        ("headers", "status"),
        [
            (ELSEWHERE, 401),
            ({"Origin": "http://evil.example"}, 403),
            ({"Host": "evil.example"}, 403),
        ],
    )
    def test_where_none_are(self, one_more: Server, headers: dict[str, str], status: int) -> None:
        """Another machine; a page from elsewhere; a page whose name was made to point here."""
        assert post(one_more, headers=headers).status_code == status
        assert one_more.get("/readyz").status_code == 200

    def test_it_is_no_page_to_look_at(self, keyed: Server) -> None:
        assert keyed.get("/admin/drain", **bearer(KEYS["ops"])).status_code == 405


async def test_the_operators_key_drains_as_sigterm_does(file: Path) -> None:
    """Finals, a hint to come back elsewhere, the end; asking twice does no harm."""
    headers = bearer(KEYS["ops"])
    with quick(A_SECOND_A_STEP, keys_file=str(file)) as running:
        async with dial(running, additional_headers=bearer(KEYS["alice"])) as client:
            await hear(client)
            await client.send(pcm16("beckett.wav")[0][:64_000])
            while (await hear(client))["type"] != "speech_started":
                pass
            answers = [post(running, headers=headers) for _ in range(2)]
            status, error = await refused(running, additional_headers=headers)
            events = await hear_all(client)

    for answer in answers:
        assert answer.status_code == 202
        assert (answer.json()["status"], answer.json()["sessions"]) == ("draining", 1)
    assert (status, error["code"]) == (503, "shutting_down")
    assert [event["code"] for event in events if event["type"] == "error"] == ["shutting_down"]
    assert [event["reason"] for event in events if event["type"] == "final"][-1] == "drain"
    assert events[-1]["type"] == "done"
    assert client.close_code == 1012
