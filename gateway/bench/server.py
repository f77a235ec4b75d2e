"""A private gateway as a process of its own, so that its CPU and memory can be told from ours."""

import contextlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import NamedTuple

from gateway.bench.load import LoadError

START = "from gateway.cli import main; main()"
ADDRESS = re.compile(r"http://\S+?(?=/?\s*$)")
STOP_WITHIN_S = 20


class Server(NamedTuple):
    """The server that is measured."""

    url: str
    pid: int | None
    """None: it runs elsewhere, or nobody said."""


@contextlib.contextmanager
def private_server(model: str | None, workers: int = 1) -> Iterator[Server]:
    """``scribewire serve`` on a free port, with the settings of the environment.

    Raises:
        LoadError: it does not start.
    """
    flags = ["--workers", str(workers), *(["--model", model] if model else [])]
    # Nobody else can reach it, so it needs none of what the environment says of access.
    private = dict.fromkeys(("KEYS_FILE", "API_KEYS", "TLS_CERT", "TLS_KEY", "ALLOWED_ORIGINS"), "")
    environment = {"SCRIBEWIRE_LOG_LEVEL": "warning", **os.environ}
    environment |= {f"SCRIBEWIRE_{name}": value for name, value in private.items()}
    with subprocess.Popen(  # noqa: S603  (our own interpreter and code)
        [sys.executable, "-c", START, "serve", "--host", "127.0.0.1", "--port", "0", *flags],
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    ) as process:
        try:
            assert process.stdout is not None
            found = next(filter(None, map(ADDRESS.search, process.stdout)), None)
            if found is None:
                raise LoadError("the private server did not start; see the lines above")
            yield Server("ws" + found[0].removeprefix("http"), process.pid)
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(STOP_WITHIN_S)
            except subprocess.TimeoutExpired:
                process.kill()
