"""https and wss with a certificate of one's own, and one that was renewed."""

import asyncio
import os
import shutil
import signal
import ssl
import subprocess
from pathlib import Path

import httpx
import pytest

from gateway.settings import Settings
from gateway.tls import CertificateError, check_certificate
from tests.conftest import QUICK_MODEL, Server, serving
from tests.gateway.dialing import check_alive, dial, hear
from tests.gateway.test_server import fails, gateway


def certificate(folder: Path, name: str = "one") -> tuple[Path, Path]:
    """A fresh self-signed certificate for this machine, and its key."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.fail("openssl is missing, which makes the tests' certificates: run `make system`.")
    cert, key = folder / f"{name}.pem", folder / f"{name}.key"
    subprocess.run(
        [openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
         "-nodes", "-days", "2", "-keyout", key, "-out", cert, "-subj", f"/CN={name}",
         "-addext", "subjectAltName=DNS:localhost,DNS:captions.example,IP:127.0.0.1"],
        check=True, capture_output=True,
    )  # fmt: skip
    return cert, key


def trusting(cert: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=cert)


async def test_sessions_and_the_page_are_encrypted(tmp_path: Path) -> None:
    cert, key = certificate(tmp_path)
    settings = Settings(
        port=0, runner="thread", model=QUICK_MODEL, tls_cert=str(cert), tls_key=str(key)
    )
    with serving(settings) as server:
        assert server.ws.startswith("wss://")
        async with dial(server, ssl=trusting(cert), origin=server.http) as socket:
            assert (await hear(socket))["type"] == "ready"
        with pytest.raises(ssl.SSLCertVerificationError):
            await dial(server)
        async with httpx.AsyncClient(verify=trusting(cert), trust_env=False) as client:
            here = await client.get(server.http)
            elsewhere = await client.get(server.http, headers={"Host": "captions.example"})
            plain = server.http.replace("https", "http")
            with pytest.raises(httpx.HTTPError):
                await client.get(plain)

    assert elsewhere.headers["strict-transport-security"] == "max-age=31536000"
    # For this machine's own name it would rule all its other servers.
    assert "strict-transport-security" not in here.headers
    assert here.url.scheme == "https"


async def test_the_page_of_http_is_not_the_same_origin(tmp_path: Path) -> None:
    cert, key = certificate(tmp_path)
    settings = Settings(
        port=0, runner="thread", model=QUICK_MODEL, tls_cert=str(cert), tls_key=str(key)
    )
    with serving(settings) as server:
        origin = server.http.replace("https", "http")
        with pytest.raises(Exception, match="HTTP 403"):
            await dial(server, ssl=trusting(cert), origin=origin)


async def test_a_renewed_certificate_is_taken_up_on_sighup(tmp_path: Path) -> None:
    cert, key = certificate(tmp_path)
    other_cert, other_key = certificate(tmp_path, "two")
    quick = ("--model", QUICK_MODEL, "--runner", "thread")
    files = ("--tls-cert", str(cert), "--tls-key", str(key))
    async with (
        gateway(tmp_path / "log", *quick, *files, scheme="https") as running,
        dial(running.server, ssl=trusting(cert)) as before,
    ):
        await hear(before)
        cert.write_text("rubbish")
        await running.hang_up("certificate_not_reloaded")
        other_cert.replace(cert)
        other_key.replace(key)
        running.process.send_signal(signal.SIGHUP)
        async with asyncio.timeout(10):
            while not await accepted(running.server, cert):
                await asyncio.sleep(0.05)
        await check_alive(before)


async def accepted(server: Server, cert: Path) -> bool:
    """Whether the server shows this certificate."""
    try:
        async with dial(server, ssl=trusting(cert)):
            return True
    except ssl.SSLCertVerificationError:
        return False


@pytest.mark.parametrize("problem", ["missing", "rubbish", "another's key", "a password"])
def test_what_cannot_be_used_is_one_sentence(tmp_path: Path, problem: str) -> None:
    cert, key = certificate(tmp_path)
    if problem == "missing":
        cert = tmp_path / "nowhere.pem"
    elif problem == "rubbish":
        cert.write_text("rubbish")
    elif problem == "another's key":
        key = certificate(tmp_path, "two")[1]
    else:
        locked = tmp_path / "locked.key"
        command = [
            "openssl",
            "pkey",
            "-in",
            key,
            "-out",
            locked,
            "-aes128",
            "-passout",
            "pass:abcd",
        ]
        subprocess.run(command, check=True, capture_output=True)
        key = locked

    with pytest.raises(CertificateError, match="cannot be used") as refusal:
        check_certificate(str(cert), str(key))
    assert "\n" not in str(refusal.value)


async def test_a_gateway_with_a_wrong_one_does_not_start(tmp_path: Path) -> None:
    code, out, err = await fails("--port", "0", "--tls-cert", str(tmp_path / "nowhere.pem"))

    assert (code, out, len(err.splitlines())) == (1, "", 1)
    assert err.startswith(f"scribewire: the certificate {tmp_path}{os.sep}nowhere.pem and its key")


def test_key_and_certificate_may_be_one_file(tmp_path: Path) -> None:
    cert, key = certificate(tmp_path)
    both = tmp_path / "both.pem"
    both.write_text(cert.read_text() + key.read_text())

    check_certificate(str(both), "")
