"""The wheel: what is in it, and that it serves from outside the checkout."""

import json
import os
import signal
import subprocess
import sys
import urllib.request
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

pytestmark = [pytest.mark.timeout(180), pytest.mark.xdist_group("wheel")]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--outdir", folder, ROOT],
        check=True,
        capture_output=True,
    )
    [built] = folder.glob("scribewire-*.whl")
    return built


def test_it_holds_the_packages_the_page_and_the_type_markers(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())

    assert {"gateway/py.typed", "engine/py.typed", "gateway/cli.py"} <= names
    assert {
        "web_demo/index.html",
        "web_demo/scribewire.js",
        "web_demo/pcm-worklet.js",
        "web_demo/overlay.css",
    } <= names
    assert not any(name.startswith(("tests/", "deploy/", ".")) for name in names)


def test_it_serves_from_outside_the_checkout(wheel: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", site, wheel],
        check=True,
        capture_output=True,
    )
    # First on the path, so that it wins over the checkout; the dependencies are this environment's.
    environment = {**os.environ, "PYTHONPATH": str(site)}
    code = "import sys, gateway.cli; print(gateway.cli.__file__, flush=True); gateway.cli.main()"
    server = subprocess.Popen(
        [sys.executable, "-c", code, "serve", "--port", "0"],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert server.stdout is not None
        assert server.stdout.readline().startswith(str(site))
        address = server.stdout.readline().split()[-1]
        with urllib.request.urlopen(f"{address}readyz", timeout=10) as ready:
            assert json.load(ready)["status"] == "ready"
        with urllib.request.urlopen(address, timeout=10) as page:
            assert b"<!doctype html>" in page.read()[:200].lower()
    finally:
        server.send_signal(signal.SIGTERM)
        assert server.wait(20) == 0
        server.stdout.close()
