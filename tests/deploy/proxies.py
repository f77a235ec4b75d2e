"""nginx and Envoy with the configurations that are shipped, on free ports of this machine."""

import ssl
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import yaml

from gateway.settings import Settings
from tests.conftest import Server
from tests.deploy.files import DEPLOY
from tests.deploy.programs import program, running
from tests.gateway.test_tls import certificate, trusting
from tests.ray_cluster import free_port

CERT, KEY = "/etc/ssl/captions.pem", "/etc/ssl/captions.key"


@dataclass(frozen=True)
class Proxy:
    """What a client knows of it."""

    server: Server
    tls: ssl.SSLContext


@contextmanager
def nginx(folder: Path, gateways: Sequence[str]) -> Iterator[Proxy]:
    """In front of gateways at ``HOST:PORT``.

    Args:
        folder: an empty one, for its files.
    """
    found = program("nginx")
    cert, key = certificate(folder)
    port = free_port()
    text = (DEPLOY / "nginx.conf").read_text()
    servers = "".join(f"server {each};" for each in gateways)
    for old, new in (
        ("listen 443 ssl;", f"listen 127.0.0.1:{port} ssl;"), (CERT, str(cert)), (KEY, str(key)),
        ("server 127.0.0.1:8000;", servers),
    ):  # fmt: skip
        assert text.count(old) == 1
        text = text.replace(old, new)
    (folder / "captions.conf").write_text(text)
    kept = "".join(
        f"{name}_temp_path {folder / name};\n"
        for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (folder / "nginx.conf").write_text(
        f"daemon off; master_process off; pid {folder}/pid; events {{}}\n"
        f"http {{ access_log off; {kept} include {folder}/captions.conf; }}"
    )
    command = [found, "-c", str(folder / "nginx.conf"), "-e", "stderr"]
    subprocess.run([*command, "-t"], check=True, capture_output=True)
    with running(command, folder / "log", port):
        yield Proxy(Server(f"wss://127.0.0.1:{port}", Settings()), trusting(cert))


@contextmanager
def envoy(folder: Path, gateways: Sequence[str]) -> Iterator[Proxy]:
    """Likewise."""
    cert, key = certificate(folder)
    port = free_port()
    text = (DEPLOY / "envoy.yaml").read_text().replace(CERT, str(cert)).replace(KEY, str(key))
    bootstrap = yaml.safe_load(text)
    bootstrap["admin"]["address"]["socket_address"]["port_value"] = 0
    resources = bootstrap["static_resources"]
    resources["listeners"][0]["address"]["socket_address"]["port_value"] = port
    resources["clusters"][0]["load_assignment"]["endpoints"][0]["lb_endpoints"] = [
        {"endpoint": {"address": {"socket_address": {"address": host, "port_value": int(at)}}}}
        for host, at in (each.split(":") for each in gateways)
    ]
    (folder / "envoy.yaml").write_text(yaml.safe_dump(bootstrap))
    command = [
        program("envoy"), "-c", str(folder / "envoy.yaml"),
        "--use-dynamic-base-id", "--concurrency", "1",
    ]  # fmt: skip
    with running(command, folder / "log", port):
        yield Proxy(Server(f"wss://127.0.0.1:{port}", Settings()), trusting(cert))


PROXIES = {"nginx": nginx, "envoy": envoy}


def address(server: Server) -> str:
    """``HOST:PORT`` of a gateway."""
    return urlsplit(server.ws).netloc
