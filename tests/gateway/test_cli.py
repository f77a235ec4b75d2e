"""The command line: help, wrong arguments, and that every failure is a sentence and a code."""

import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from typer.testing import CliRunner

from gateway.cli import app
from gateway.settings import Settings

HEAVY = ("numpy", "websockets", "uvicorn", "pydantic", "torch", "engine", "onnxruntime")


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    # Boxes and colours would break the sentences that are looked for.
    for name, value in {"COLUMNS": "300", "NO_COLOR": "1", "TERM": "dumb"}.items():
        monkeypatch.setenv(name, value)
    for name in ("SCRIBEWIRE_API_KEY", "SCRIBEWIRE_PORT", "SCRIBEWIRE_LOG_LEVEL"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """In the place of ``gateway.server``: keeps the settings, and starts nothing."""
    module: Any = ModuleType("gateway.server")

    class CannotStartError(Exception):
        pass

    def serve(settings: Settings) -> int:
        module.settings = settings
        return 3

    @asynccontextmanager
    async def run_in_background(settings: Settings) -> AsyncIterator[str]:
        module.settings = settings
        if module.problem:
            raise CannotStartError(module.problem)
        yield "ws://127.0.0.1:9"

    module.serve, module.run_in_background = serve, run_in_background
    module.CannotStartError, module.problem = CannotStartError, ""
    monkeypatch.setitem(sys.modules, "gateway.server", module)
    result: ModuleType = module
    return result


def run(*arguments: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr."""
    result = CliRunner().invoke(app, list(arguments))
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout, result.stderr


@pytest.mark.parametrize("command", [(), ("serve",), ("transcribe",), ("doctor",)])
def test_every_command_explains_itself(command: tuple[str, ...]) -> None:
    code, out, _ = run(*command, "--help")

    assert code == 0
    assert "Usage" in out


def test_help_imports_nothing_heavy() -> None:
    script = f"import sys, gateway.cli; print([m for m in {HEAVY} if m in sys.modules])"

    out = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True).stdout

    assert out.strip() == b"[]"


def test_the_version_is_the_packages() -> None:
    done = CliRunner().invoke(app, ["--version"])

    assert (done.exit_code, done.output.strip()) == (0, version("scribewire"))


def test_flags_override_the_environment_which_overrides_defaults(
    server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCRIBEWIRE_PORT", "1234")
    monkeypatch.setenv("SCRIBEWIRE_LOG_LEVEL", "error")

    code, _, _ = run("serve", "--port", "4321", "--runner", "thread")

    assert code == 3
    assert (server.settings.port, server.settings.runner) == (4321, "thread")
    assert (server.settings.log_level, server.settings.host) == ("error", "127.0.0.1")
    assert server.settings.model_fields_set == {"port", "runner", "log_level"}


def test_a_wrong_flag_is_a_sentence(server: Any) -> None:
    code, out, err = run("serve", "--port", "99999")

    assert (code, out) == (2, "")
    assert err == "--port: input should be less than or equal to 65535, got 99999.\n"


def test_each_wrong_variable_is_a_sentence_without_its_value(
    server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCRIBEWIRE_PORT", "s3cret")
    monkeypatch.setenv("SCRIBEWIRE_LOG_LEVEL", "loud")

    code, _, err = run("serve")

    assert code == 2
    assert len(err.splitlines()) == 2
    assert "SCRIBEWIRE_PORT: input should be a valid integer" in err
    assert "SCRIBEWIRE_LOG_LEVEL: input should be 'debug', 'info'" in err
    assert "s3cret" not in err


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("serve", "--port", "x"), "--port"),
        (("serve", "--runner", "gpu"), "--runner"),
        (("transcribe",), "FILE"),
        (("transcribe", "a.wav", "--format", "doc"), "--format"),
        (("transcribe", "a.wav", "--chunk-ms", "1.5"), "neither a number of milliseconds nor auto"),
        (("transcribe", "a.wav", "--url", "localhost:80"), "not an address like ws://HOST:PORT"),
        (("transcribe", "a.wav", "b.wav", "--format", "srt"), "give --output-dir"),
        (("fly",), "fly"),
    ],
)
def test_wrong_arguments_exit_with_2(arguments: tuple[str, ...], complaint: str) -> None:
    code, out, err = run(*arguments)

    assert (code, out) == (2, "")
    assert complaint in err
    assert "Traceback" not in err


@pytest.mark.parametrize("url", [(), ("--url", "http://127.0.0.1:9")])
def test_a_missing_file_is_a_sentence(server: Any, url: tuple[str, ...], tmp_path: Path) -> None:
    missing = tmp_path / "missing.wav"

    code, out, err = run("transcribe", str(missing), *url)

    assert (code, out) == (1, "")
    assert err == f"{missing}: No such file or directory: check the path.\n"


def test_the_private_server_is_quiet_and_on_a_free_port(server: Any, tmp_path: Path) -> None:
    run("transcribe", str(tmp_path))

    assert (server.settings.host, server.settings.port) == ("127.0.0.1", 0)
    assert server.settings.log_level == "warning"


def test_the_private_server_has_none_of_the_locks_of_the_public_one(
    server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    locks = {"API_KEYS": "k" * 30, "KEYS_FILE": "/nowhere", "TLS_CERT": "/nowhere",
             "ALLOWED_ORIGINS": "*"}  # fmt: skip
    for name, value in locks.items():
        monkeypatch.setenv(f"SCRIBEWIRE_{name}", value)
    run("transcribe", "nothing.wav")

    assert not server.settings.has_keys
    assert (server.settings.tls_cert, server.settings.allowed_origins) == ("", "")


def test_a_private_server_that_cannot_start_is_a_sentence(server: Any) -> None:
    server.problem = "the model cannot be loaded; give another --model"

    code, out, err = run("transcribe", "a.wav")

    assert (code, out) == (1, "")
    assert err == "scribewire: the model cannot be loaded; give another --model\n"
