"""The README is true: what exists is in it, and what is in it works."""

import asyncio
import re
import shutil
import sys
from dataclasses import fields
from pathlib import Path
from typing import get_args

import pytest
from prometheus_client.metrics import MetricWrapperBase

from engine.transcript import CloseReason, SuppressReason
from gateway import errors
from gateway.metrics import Metrics
from gateway.settings import Settings
from gateway.wire import messages
from gateway.wire.options import SessionOptions
from tests.conftest import Server
from tests.page.browser import CuttableProxy
from tests.page.speaking_rooms import speaking
from tests.speech import speech

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def table_row(name: str) -> str:
    """The table row whose first cell names `name`."""
    lines = [line for line in README.splitlines() if line.startswith("|")]
    rows = [line for line in lines if f"`{name}`" in line.split("|")[1]]
    assert rows, f"README has no table row for {name}"
    return rows[0]


def metrics() -> list[MetricWrapperBase]:
    """All that the server exports."""
    return [each for each in vars(Metrics()).values() if isinstance(each, MetricWrapperBase)]


@pytest.mark.parametrize("name", Settings.model_fields)
def test_each_setting_has_a_row_with_its_default(name: str) -> None:
    default = Settings.model_fields[name].default
    shown = f"{default:g}" if isinstance(default, float) else str(default)

    assert f"| `{name}` | {shown} |" in README


@pytest.mark.parametrize("name", SessionOptions.model_fields)
def test_each_option_has_a_row(name: str) -> None:
    assert table_row(name).startswith(f"| `{name}` |")


@pytest.mark.parametrize("message", get_args(messages.ServerMessage))
def test_each_server_message_has_a_row_with_its_fields(message: type) -> None:
    row = table_row(message.type)

    for field in fields(message):
        if field.name not in ("words", "from_ms", "to_ms") or message is messages.Suppressed:
            assert f"`{field.name}`" in row


@pytest.mark.parametrize("reason", [*get_args(CloseReason), *get_args(SuppressReason)])
def test_each_reason_is_named(reason: str) -> None:
    assert f"`{reason}`" in README


@pytest.mark.parametrize("error", errors.all_errors())
def test_each_error_has_a_row_with_its_codes(error: type[errors.GatewayError]) -> None:
    assert f"| `{error.code}` | {error.close_code} | {error.http_status} |" in README


@pytest.mark.parametrize("metric", metrics())
def test_each_metric_has_a_row_with_its_labels(metric: MetricWrapperBase) -> None:
    [family] = metric.describe()
    name = family.name + ("_total" if family.type == "counter" else "")
    labels = ",".join(metric._labelnames)

    assert table_row(name + (f"{{{labels}}}" if labels else ""))


def test_no_metric_is_named_that_is_not_exported() -> None:
    exported = Metrics().exposition().decode()

    for name in re.findall(r"`(scribewire_\w+)", README):
        assert f"# TYPE {name} " in exported


def test_the_pictures_and_files_it_names_exist() -> None:
    for target in re.findall(r"\]\((?!#|https?:)([^)]+)\)", README):
        assert (ROOT / target).is_file(), target


def examples(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


async def test_the_client_in_20_lines_works(server: Server, tmp_path: Path) -> None:
    script = tmp_path / "client.py"
    script.write_text(examples("python")[0])

    process = await asyncio.create_subprocess_exec(
        sys.executable, script, speech("beckett.wav"), server.ws,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, cwd=ROOT,
    )  # fmt: skip
    output, complaints = await asyncio.wait_for(process.communicate(), 50)

    assert process.returncode == 0, complaints.decode()
    finals = [line for line in output.decode().splitlines() if line.startswith("=>")]
    assert len(finals) == 6
    assert "Ever tried." in finals[0]


@pytest.mark.parametrize(
    ("program", "language", "number", "scheme"),
    [(sys.executable, "python", 1, "ws"), (shutil.which("node"), "js", 0, "http")],
)
async def test_the_viewers_in_30_lines_work_and_come_back(
    tmp_path: Path, program: str, language: str, number: int, scheme: str
) -> None:
    example = examples(language)[number]
    assert len(example.splitlines()) <= 30
    script = tmp_path / ("viewer.py" if language == "python" else "viewer.mjs")
    script.write_text(example)
    async with speaking("hall") as speaker, CuttableProxy(speaker.port) as network:
        speaker.final(" Said before.")
        url = network.http.replace("http", scheme, 1)
        viewer = await asyncio.create_subprocess_exec(
            program, script, url, "hall", stdout=asyncio.subprocess.PIPE
        )
        assert viewer.stdout is not None
        try:
            async with asyncio.timeout(20):
                lines = [await viewer.stdout.readline()]
                network.cut()
                speaker.final(" Said meanwhile.")
                lines.append(await viewer.stdout.readline())
        finally:
            viewer.kill()
            await viewer.wait()

    assert lines == [b"=> Said before.\n", b"=> Said meanwhile.\n"]
