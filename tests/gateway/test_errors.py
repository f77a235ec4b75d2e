"""What each error means on the wire, and that nothing internal gets there."""

import pytest

from gateway import errors
from gateway.errors import GatewayError, InvalidMessage, Overloaded, as_fields, quoted

ALL = GatewayError.__subclasses__()

# protocol.md, "Errors and close codes"
CODES = [
    "invalid_option",
    "invalid_message",
    "invalid_audio",
    "unsupported",
    "conflict",
    "unauthorized",
    "forbidden_origin",
    "quota_exceeded",
    "too_many_sessions",
    "not_found",
    "overloaded",
    "audio_backlog",
    "idle_timeout",
    "max_duration",
    "too_large",
    "slow_consumer",
    "engine_failed",
    "replaced",
    "shutting_down",
    "internal",
]


def test_each_code_of_the_protocol_has_one_class() -> None:
    assert sorted(CODES) == sorted(each.code for each in ALL)


def test_the_tree_in_the_module_docstring_names_every_class() -> None:
    assert errors.__doc__ is not None
    for each in ALL:
        assert f"* `{each.__name__}`: " in errors.__doc__


@pytest.mark.parametrize("error", ALL)
def test_the_close_code_says_whether_to_reconnect(error: type[GatewayError]) -> None:
    reconnect = error.close_code < 4500

    assert error.close_code in (1011, 1012) or 4000 <= error.close_code <= 4999
    assert error.retryable == reconnect


@pytest.mark.parametrize("error", ALL)
def test_the_http_status_is_one_of_those_that_the_protocol_lists(error: type[GatewayError]) -> None:
    assert error.http_status in (400, 401, 403, 404, 409, 413, 429, 503)


@pytest.mark.parametrize(
    ("code", "close_code"),
    [
        ("slow_consumer", 4408),
        ("too_many_sessions", 4429),
        ("overloaded", 4429),
        ("audio_backlog", 4503),
        ("idle_timeout", 4504),
        ("engine_failed", 4511),
        ("unauthorized", 4501),
        ("forbidden_origin", 4502),
        ("shutting_down", 1012),
        ("internal", 1011),
    ],
)
def test_close_codes_that_the_protocol_fixes(code: str, close_code: int) -> None:
    assert [close_code] == [each.close_code for each in ALL if each.code == code]


def test_only_what_a_client_said_wrongly_leaves_the_session_open() -> None:
    recoverable = {each.code for each in ALL if each.recoverable}

    assert recoverable == {
        "invalid_option", "invalid_message", "invalid_audio", "unsupported", "conflict",
    }  # fmt: skip


def test_causes_that_are_not_busy_have_close_codes_of_their_own() -> None:
    close_codes = [each.close_code for each in ALL if each.close_code != 4429]

    assert len(set(close_codes)) == len(close_codes)


@pytest.mark.parametrize("error", ALL)
def test_an_error_without_words_says_what_to_do(error: type[GatewayError]) -> None:
    assert error.default_message == error().message == str(error())
    assert error.default_message.endswith(".")


def test_the_wire_fields_leave_out_what_is_not_known() -> None:
    error = InvalidMessage("Say it again.")

    assert as_fields(error) == {
        "code": "invalid_message",
        "message": "Say it again.",
        "retryable": False,
    }


def test_the_wire_fields_carry_id_and_delay_when_known() -> None:
    error = Overloaded(id="7", retry_after_ms=0)

    assert {
        "code": "overloaded",
        "message": Overloaded.default_message,
        "retryable": True,
        "id": "7",
        "retry_after_ms": 0,
    } == as_fields(error)


def test_the_wire_fields_never_carry_the_cause() -> None:
    error = errors.Internal()
    error.__cause__ = OSError("/etc/secret")

    assert "secret" not in str(as_fields(error))


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "null"),
        (True, "true"),
        (-3, "-3"),
        pytest.param(10**5000, "a very large number", id="huge"),
        (0.25, "0.25"),
        (float("nan"), "a number that is not finite"),
        ("naïve", '"naïve"'),
        ("x" * 41, "a text of 41 characters"),
        ("\ud800", "a text of 1 characters"),
        ("a\nb", "a text of 3 characters"),
        (b"\x00", "binary data"),
        ([1], "a list"),
        ({}, "a map"),
        (object(), "a value of an unknown kind"),
    ],
)
def test_a_quoted_value_is_short_printable_and_names_its_kind(value: object, words: str) -> None:
    assert quoted(value) == words
