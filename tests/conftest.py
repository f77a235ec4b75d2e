"""A gateway that tests share, and logging that one test cannot change for the next."""

import asyncio
import logging
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass

import httpx
import pytest
import structlog
import uvloop
from hypothesis import settings
from prometheus_client.parser import text_string_to_metric_families

from gateway.server import run_in_background
from gateway.settings import Settings

pytest_plugins = ["tests.ray_cluster"]

LONGEST = ("tests/test_memory.py", "tests/page", "tests/test_soak.py", "tests/engine/cluster")
"""Begun first, so that nothing is left to wait for when all else is over."""

settings.register_profile("tests", deadline=None, max_examples=50)  # timing belongs in benchmarks
settings.register_profile("gate", settings.get_profile("tests"), derandomize=True)
"""Tries the same examples in each run: what lands does not depend on luck."""
settings.load_profile("tests")

START_WITHIN_S = 120
"""The embedded model is warm after half a second on an idle machine; the first start in a fresh
environment compiles all it imports, beside other tests."""

QUICK_MODEL = "tests.engine.models.doubles:OneWordASecondModel"
"""For gateways of which only the behaviour around the text is asked: it starts at once."""


@pytest.hookimpl(trylast=True)  # after the plugin that shuffles them
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Orders tests by how long they take, roughly."""

    def rank(item: pytest.Item) -> int:
        where = item.path.relative_to(item.config.rootpath).as_posix()
        return next((at for at, path in enumerate(LONGEST) if where.startswith(path)), len(LONGEST))

    items.sort(key=rank)


@dataclass(frozen=True)
class Server:
    """A running gateway."""

    ws: str
    """``ws://127.0.0.1:PORT``"""
    settings: Settings

    @property
    def http(self) -> str:
        """``http://127.0.0.1:PORT``"""
        return "http" + self.ws.removeprefix("ws")

    def get(self, path: str, **headers: str) -> httpx.Response:
        """The answer to a plain request; blocks, but the gateway has a thread of its own."""
        return httpx.get(self.http + path, headers=headers, timeout=10, trust_env=False)

    def metric(self, name: str, **labels: str) -> float:
        """A sample of ``/metrics`` now, summed over the labels that are not given."""
        return sum(
            sample.value
            for family in text_string_to_metric_families(self.get("/metrics").text)
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )


@contextmanager
def serving(settings: Settings) -> Iterator[Server]:
    """A gateway in a thread and event loop of its own, so that no test blocks it."""
    started: Future[tuple[str, asyncio.AbstractEventLoop, asyncio.Event]] = Future()

    async def serve() -> None:
        async with run_in_background(settings) as url:
            stop = asyncio.Event()
            started.set_result((url, asyncio.get_running_loop(), stop))
            await stop.wait()

    def run() -> None:
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(serve())
        except BaseException as error:
            if started.done():
                raise  # pytest reports what a thread raises
            started.set_exception(error)

    thread = threading.Thread(target=run, name="gateway")
    thread.start()
    url, loop, stop = started.result(START_WITHIN_S)
    try:
        yield Server(url, settings)
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(START_WITHIN_S)
        assert not thread.is_alive(), "the gateway does not shut down"


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """A gateway with default settings and the embedded model, for all tests of the run."""
    with serving(Settings(port=0, runner="thread")) as running:
        yield running


@pytest.fixture(autouse=True)
def logging_of_tests() -> Iterator[None]:
    """Logs go where pytest shows them, also after a test that configured logging as a process does.

    A module's logger that was used meanwhile is bound to that test's stderr, which is closed.
    """
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    _log_to_pytest()
    for name in (
        "gateway.connection",
        "gateway.live",
        "gateway.parts",
        "gateway.server",
        "engine.worker",
        "engine.process_runner",
    ):
        if name in sys.modules:
            vars(sys.modules[name].log).pop("bind", None)


def _log_to_pytest() -> None:
    structlog.configure(
        processors=[structlog.dev.ConsoleRenderer(colors=False)],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )


_log_to_pytest()
