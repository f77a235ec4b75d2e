"""Settings come from the environment, are checked before anything starts, and never change."""

import os

import pytest
from pydantic import ValidationError
from pydantic_core import PydanticUndefined

from gateway.settings import Settings

FIELDS = Settings.model_fields


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith("SCRIBEWIRE_"):
            monkeypatch.delenv(name)


def refusal(**values: object) -> str:
    """What is said of values that must be refused."""
    with pytest.raises(ValidationError) as refused:
        Settings(**values)  # type: ignore[arg-type]
    return str(refused.value)


def test_nothing_must_be_set() -> None:
    settings = Settings()

    assert (settings.host, settings.port) == ("127.0.0.1", 8000)
    assert settings.model == "moonshine-tiny-en"
    assert settings.runner == "process"


def test_the_default_is_to_listen_on_this_machine_only() -> None:
    """Where nobody else can reach it, no keys are asked for."""
    assert Settings().host == "127.0.0.1"


@pytest.mark.parametrize("name", FIELDS)
def test_every_field_has_a_default_and_a_sentence_that_describes_it(name: str) -> None:
    field = FIELDS[name]

    assert field.default is not PydanticUndefined
    assert field.description
    assert field.description.endswith(".")


@pytest.mark.parametrize("name", FIELDS)
def test_every_default_is_within_its_own_range(name: str) -> None:
    assert getattr(Settings(**{name: FIELDS[name].default}), name) == FIELDS[name].default


@pytest.mark.parametrize(
    ("variable", "text", "value"),
    [
        ("SCRIBEWIRE_PORT", "9000", 9000),
        ("SCRIBEWIRE_HOST", "0.0.0.0", "0.0.0.0"),
        ("SCRIBEWIRE_RUNNER", "thread", "thread"),
        ("SCRIBEWIRE_IDLE_TIMEOUT_S", "0.5", 0.5),
        ("SCRIBEWIRE_MAX_SESSIONS", "3", 3),
        ("scribewire_log_level", "debug", "debug"),
    ],
)
def test_the_environment_overrides_a_default(
    monkeypatch: pytest.MonkeyPatch, variable: str, text: str, value: object
) -> None:
    monkeypatch.setenv(variable, text)

    assert getattr(Settings(), variable.lower().removeprefix("scribewire_")) == value


def test_what_is_passed_overrides_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCRIBEWIRE_PORT", "9000")

    assert Settings(port=9001).port == 9001


def test_variables_of_other_programs_are_not_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "1")
    monkeypatch.setenv("HOST", "example.com")

    assert Settings() == Settings(host="127.0.0.1", port=8000)


@pytest.mark.parametrize(
    ("name", "lowest", "highest"),
    [
        ("port", 0, 65_535),
        ("max_sessions", 1, None),
        ("max_sessions_per_key", 0, None),
        ("max_sessions_per_address", 0, None),
        ("handshakes_per_minute", 0, None),
        ("max_messages_per_s", 10, None),
        ("token_max_s", 10, 86_400),
        ("max_frame_bytes", 4096, 16_777_216),
        ("max_control_bytes", 1024, None),
        ("max_backlog_ms", 1000, 600_000),
        ("outbox_events", 16, None),
        ("outbox_bytes", 65_536, None),
    ],
)
def test_whole_numbers_have_bounds_that_belong_to_them(
    name: str, lowest: int, highest: int | None
) -> None:
    assert getattr(Settings(**{name: lowest}), name) == lowest
    assert name in refusal(**{name: lowest - 1})
    if highest is not None:
        assert getattr(Settings(**{name: highest}), name) == highest
        assert name in refusal(**{name: highest + 1})


DURATIONS = [name for name in FIELDS if name.endswith("_s")]


@pytest.mark.parametrize("name", DURATIONS)
@pytest.mark.parametrize("value", [-1.0, float("nan"), float("inf"), "soon", None])
def test_a_duration_is_a_finite_number_of_seconds(name: str, value: object) -> None:
    """Infinity would be taken, and then fail each connection: limits are told in whole ms."""
    assert name in refusal(**{name: value})


@pytest.mark.parametrize("name", DURATIONS)
def test_no_time_at_all_is_allowed_where_it_says_not_at_all(name: str) -> None:
    if name in ("drain_s", "resume_window_s"):
        assert getattr(Settings(**{name: 0}), name) == 0
    else:
        assert name in refusal(**{name: 0})


@pytest.mark.parametrize(
    ("name", "value"), [("runner", "gpu"), ("log_level", "loud"), ("log_format", "xml")]
)
def test_a_choice_is_one_of_its_names(name: str, value: str) -> None:
    assert name in refusal(**{name: value})


def test_a_bad_value_from_the_environment_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCRIBEWIRE_PORT", "eight thousand")

    assert "port" in refusal()


def test_an_unknown_setting_is_refused_by_name() -> None:
    assert "prot" in refusal(prot=8000)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"no_auth": True, "keys_file": "k"}, "contradict"),
        ({"no_auth": True, "api_keys": "k"}, "contradict"),
        ({"allowed_origins": "https://a.example,*"}, "needs keys"),
        ({"allowed_origins": "a.example"}, "is not an origin"),
        ({"trusted_proxies": "10.0.0.0/8,example.com"}, "example.com"),
        ({"trusted_proxies": "*"}, "trusted_proxies"),
        ({"tls_key": "k"}, "tls_key needs tls_cert"),
        ({"token_secret": "x" * 31}, "at least 32"),
    ],
)
def test_what_would_let_in_whom_nobody_meant_is_refused(
    values: dict[str, object], words: str
) -> None:
    assert words in refusal(**values)


def test_what_lets_in_whom_somebody_meant_is_taken() -> None:
    Settings(allowed_origins="*", api_keys="k" * 30)
    Settings(allowed_origins="https://a.example, http://b.example:8080")
    Settings(trusted_proxies="10.0.0.0/8, ::1")
    Settings(trusted_proxies="")
    Settings(no_auth=True, host="0.0.0.0")


def test_secrets_are_not_shown() -> None:
    settings = Settings(api_keys="swk_secret" * 3, token_secret="another secret" * 3)

    assert "secret" not in repr(settings).replace("token_secret", "")
    assert "secret" not in str(settings.model_dump()).replace("token_secret", "")


def test_settings_are_frozen() -> None:
    settings = Settings()

    with pytest.raises(ValidationError, match="frozen"):
        settings.port = 1  # type: ignore[misc]

    assert settings.port == 8000
