"""Clients that are not Python."""

import shutil
import subprocess
from pathlib import Path

import pytest

WS = "ws@8.18.3"


@pytest.fixture(scope="session")
def node_ws(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder where Node.js finds `ws`, from npm."""
    npm = shutil.which("npm")
    if npm is None:
        pytest.fail("npm is missing, which the test with Node.js needs: run `make system`.")
    folder = tmp_path_factory.mktemp("node")
    subprocess.run(
        [npm, "install", "--no-save", "--no-audit", "--no-fund", "--prefix", folder, WS],
        check=True, capture_output=True, timeout=50, cwd=folder,
    )  # fmt: skip
    return folder
