"""Real programs that read what is in `deploy/`."""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

START_WITHIN_S = 20
PATH = os.pathsep.join([str(Path(sys.prefix) / "bin"), os.defpath, "/usr/sbin"])


def program(name: str) -> str:
    """Its path: in this environment, where wheels bring some, or of the system."""
    found = shutil.which(name, path=PATH)
    if found is None:
        pytest.fail(f"{name} is missing: run `make system`.")
    return found


def run(name: str, *arguments: str | Path, **environment: str) -> str:
    """What it prints; fails with what it says when it does not end well."""
    done = subprocess.run(
        [program(name), *map(str, arguments)], env=environment or None, capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@contextmanager
def running(command: list[str], log: Path, port: int) -> Iterator[None]:
    """A server that has begun to listen on a port of this machine."""
    with log.open("wb") as file:
        process = subprocess.Popen(command, stdout=file, stderr=file)
    try:
        until = time.monotonic() + START_WITHIN_S
        while not _listens(port):
            if process.poll() is not None or time.monotonic() > until:
                pytest.fail(f"{command[0]} does not start:\n{log.read_text()}")
            time.sleep(0.05)
        yield
    finally:
        process.kill()
        process.wait()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
