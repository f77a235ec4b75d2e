"""The compose file, as Docker Compose itself reads it."""

import importlib.util
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from gateway.settings import Settings
from tests.deploy.files import DEPLOY, load, settings_of

KEYS = {"SCRIBEWIRE_API_KEYS": "sha256:" + 64 * "0"}


def compose(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs `docker compose`, whose wheel's own command forgets how it ended."""
    spec = importlib.util.find_spec("compose")
    assert spec is not None
    assert spec.origin is not None
    return subprocess.run(
        [Path(spec.origin).parent / "docker-compose", "-f", DEPLOY / "compose.yaml", *arguments],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def services() -> Any:
    done = compose("config", "--format", "json", **KEYS)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["services"]


def test_it_does_not_start_without_keys() -> None:
    done = compose("config", "--quiet")
    assert done.returncode != 0
    assert "give a key of at least 32 random characters" in done.stderr


def test_its_files_are_there(services: Any) -> None:
    build = services["gateway"]["build"]
    assert (Path(build["context"]) / build["dockerfile"]).is_file()
    mounts = [mount for each in services.values() for mount in each["volumes"]]
    files = [Path(mount["source"]) for mount in mounts if mount["type"] == "bind"]
    assert len(files) == 5
    assert all(file.is_file() for file in files)


def test_its_settings_are_settings(services: Any) -> None:
    settings = settings_of(services["gateway"]["environment"])
    assert settings.metrics_open
    assert settings.has_keys


def test_nothing_is_published_beyond_this_machine(services: Any) -> None:
    ports = [port for each in services.values() for port in each.get("ports", [])]
    assert {port["published"]: port["host_ip"] for port in ports} == {
        "8000": "127.0.0.1", "3000": "127.0.0.1",
    }  # fmt: skip


def test_the_gateway_may_nothing_that_it_need_not(services: Any) -> None:
    gateway = services["gateway"]
    assert gateway["read_only"]
    assert gateway["cap_drop"] == ["ALL"]
    assert gateway["security_opt"] == ["no-new-privileges:true"]
    assert {mount["target"] for mount in gateway["volumes"]} == {"/models"}


def test_sessions_have_time_for_their_finals(services: Any) -> None:
    assert int(services["gateway"]["stop_grace_period"].rstrip("s")) > Settings().drain_s


def test_prometheus_asks_the_gateway() -> None:
    [job] = load("prometheus.yml")["scrape_configs"]
    assert job["static_configs"] == [{"targets": [f"gateway:{Settings().port}"]}]
