"""A real Ray cluster on this machine."""

import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).parents[1]
START_WITHIN_S = 120


@dataclass(frozen=True)
class Cluster:
    """Its head runs in a process of its own."""

    head: psutil.Process
    port: int
    client_port: int

    @property
    def copies(self) -> list[psutil.Process]:
        """The processes of all copies of models."""
        return self._actors("ModelHost")

    @property
    def pools(self) -> list[psutil.Process]:
        """The processes of all pools."""
        return self._actors("PoolActor")

    def kill(self) -> None:
        """Ends all its processes; they would end by themselves, but not at once."""
        with suppress(psutil.NoSuchProcess):
            for process in [*self.head.children(recursive=True), self.head]:
                with suppress(psutil.NoSuchProcess):
                    process.kill()

    def _actors(self, kind: str) -> list[psutil.Process]:
        found = []
        for process in self.head.children(recursive=True):
            with suppress(psutil.Error, IndexError):
                if process.cmdline()[0].startswith(f"ray::{kind}"):
                    found.append(process)
        return found


def free_port() -> int:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        return int(bound.getsockname()[1])


def pytest_configure() -> None:
    """A token for all clusters: Ray looks for it when it is imported, by whichever test, and then
    never again."""
    os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """The environment leads to it while it lives."""
    with (
        a_cluster(tmp_path_factory.mktemp("ray") / "head.log") as cluster,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setenv("RAY_ADDRESS", f"127.0.0.1:{cluster.port}")
        yield cluster


@contextmanager
def a_cluster(log: Path) -> Iterator[Cluster]:
    """With four CPUs, whatever the machine has."""
    port, client_port = free_port(), free_port()
    # By default all other work on the machine, as that of other tests, goes before Ray's.
    ours = {"PYTHONPATH": str(ROOT), "RAY_USAGE_STATS_ENABLED": "0", "RAY_worker_niceness": "0"}
    with log.open("wb") as file:
        head = subprocess.Popen(
            [
                Path(sys.prefix) / "bin" / "ray", "start", "--head", "--block", f"--port={port}",
                f"--ray-client-server-port={client_port}", "--num-cpus=4",
                "--include-dashboard=false", "--include-log-monitor=false",
                "--node-ip-address=127.0.0.1", f"--object-store-memory={128 << 20}",
            ],
            env=os.environ | ours, cwd=ROOT, stdout=file, stderr=file, start_new_session=True,
        )  # fmt: skip
    cluster = Cluster(psutil.Process(head.pid), port, client_port)
    try:
        _wait_for(client_port, head, log)
        yield cluster
    finally:
        cluster.kill()
        head.wait()


def _wait_for(port: int, head: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + START_WITHIN_S
    while time.monotonic() < until and head.poll() is None:
        with socket.socket() as probe:
            probe.settimeout(1)
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    pytest.fail(f"the Ray cluster does not start:\n{log.read_text()}")
