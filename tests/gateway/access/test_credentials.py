"""Where a credential is looked for, and that it goes no further."""

from typing import Any

import pytest
from starlette.types import Message

from gateway.access.credentials import Credential, echoing, presented, without_credentials
from tests.gateway.access.scopes import scope

KEY = "swk_abc"


def offering(*subprotocols: str) -> Any:
    return scope("websocket", ("sec-websocket-protocol", ", ".join(subprotocols)))


@pytest.mark.parametrize(
    "value", [f"Bearer {KEY}", f"bearer {KEY}", f"Token {KEY}", f"token  {KEY} ", f"BEARER {KEY}"]
)
def test_a_header(value: str) -> None:
    assert presented(scope("http", ("authorization", value))) == Credential(KEY, "header")


@pytest.mark.parametrize(
    "offered",
    [
        ("scribewire.json.v1", "scribewire.auth", KEY),
        ("scribewire.auth", KEY, "scribewire.msgpack.v1"),
        ("token", KEY),
        ("bearer", KEY),
        ("realtime", f"openai-insecure-api-key.{KEY}", "openai-beta.realtime-v1"),
    ],
)
def test_a_subprotocol_which_the_application_does_not_see(offered: tuple[str, ...]) -> None:
    assert presented(offering(*offered)) == Credential(KEY, "subprotocol")
    left = without_credentials(offering(*offered))["subprotocols"]
    assert left == [each for each in offered if KEY not in each]


@pytest.mark.parametrize(
    ("query", "text", "left"),
    [
        ("token=swt1.a.b", "swt1.a.b", ""),
        ("language=en&token=swt1.a.b&words=true", "swt1.a.b", "language=en&words=true"),
        ("tok%65n=a%2Eb", "a.b", ""),
        ("token=", "", ""),
        ("token", "", ""),
        ("token=a&token=b", "a", ""),
        ("context=a%26token%3Db&x", None, "context=a%26token%3Db&x"),
        ("tokens=a&Token=b", None, "tokens=a&Token=b"),
    ],
)
def test_an_address_s_query_which_the_application_does_not_see(
    query: str, text: str | None, left: str
) -> None:
    found = presented(scope(query=query))

    assert found == (None if text is None else Credential(text, "query"))
    assert without_credentials(scope(query=query))["query_string"] == left.encode()


def test_the_header_counts_before_the_others() -> None:
    both = scope(
        "websocket", ("authorization", "Bearer one"), ("sec-websocket-protocol", "token, two"),
        query="token=three",
    )  # fmt: skip

    assert presented(both) == Credential("one", "header")


@pytest.mark.parametrize(
    "headers",
    [["Basic YTpi"], ["Bearer"], ["Bearer "], [KEY], [""], ["Bearer a", "Bearer a"]],
)
def test_a_header_of_another_form_is_refused(headers: list[str]) -> None:
    with pytest.raises(ValueError, match="not one header"):
        presented(scope("http", *(("authorization", each) for each in headers)))


def test_nothing_is_nothing() -> None:
    assert presented(scope()) is None
    assert presented(offering("scribewire.json.v1")) is None
    assert presented(offering("scribewire.auth")) is None


@pytest.mark.parametrize(
    ("offered", "chosen", "sent"),
    [
        (("token", KEY), None, "token"),
        (("scribewire.auth", KEY), None, "scribewire.auth"),
        (
            ("scribewire.json.v1", "scribewire.auth", KEY),
            "scribewire.json.v1",
            "scribewire.json.v1",
        ),
        (("realtime", f"openai-insecure-api-key.{KEY}"), "realtime", "realtime"),
        ((), None, None),
    ],
)
async def test_the_marker_is_echoed_where_nothing_else_is_and_the_credential_never(
    offered: tuple[str, ...], chosen: str | None, sent: str | None
) -> None:
    messages: list[Message] = []

    async def send(message: Message) -> None:
        messages.append(message)

    await echoing(offering(*offered), send)({"type": "websocket.accept", "subprotocol": chosen})

    assert [message["subprotocol"] for message in messages] == [sent]
