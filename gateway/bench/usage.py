"""CPU and memory of server, load generator and machine while a load is played."""

import contextlib
import os
import threading
import time
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import psutil  # type: ignore[import-untyped]

EVERY_S = 0.5
IDLE_CORES = 0.2
GATEWAY = "gateway.worker_process"
"""Module that a process of ``--workers`` runs."""


class Usage(NamedTuple):
    """Over the time since the last; cores are CPU seconds a second, memory is resident, in MB."""

    at: float
    """By `time.monotonic`."""
    gateway_cores: float
    model_cores: float
    gateway_mb: float
    model_mb: float
    generator_cores: float
    machine_cores: float
    """Of everything that runs here, ours or not."""


class Usages(NamedTuple):
    """Means and peaks over a run."""

    gateway_cores: float
    model_cores: float
    generator_cores: float
    machine_cores: float
    others_cores: float
    """Of what has nothing to do with the run: how noisy its figures are."""
    gateway_peak_mb: float
    model_peak_mb: float


class _Meter:
    """CPU seconds spent between two looks, and memory, of processes that come and go."""

    def __init__(self) -> None:
        self._spent: dict[int, float] = {}

    def read(self, processes: list[psutil.Process]) -> tuple[float, float]:
        """CPU seconds since the last look, and resident MB now."""
        seconds = megabytes = 0.0
        for process in processes:
            with contextlib.suppress(psutil.Error):
                times = process.cpu_times()
                spent = float(times.user + times.system)
                seconds += spent - self._spent.get(process.pid, spent)
                self._spent[process.pid] = spent
                megabytes += float(process.memory_info().rss) / 1e6
        return seconds, megabytes


class Sampler:
    """Watches from a thread while it is entered.

    Args:
        server_pid: of the gateway; its children are the model, but for those that are gateways too
            (``--workers``). None: it runs elsewhere.
        every_s: how often it looks.
    """

    def __init__(self, server_pid: int | None, every_s: float = EVERY_S) -> None:
        self.samples: list[Usage] = []
        self._server_pid, self._every_s = server_pid, every_s
        self._meter = _Meter()
        self._gateways: dict[int, bool] = {}
        """Whether a process is one, by its id."""
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="usage", daemon=True)

    def __enter__(self) -> "Sampler":
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        at, busy = time.monotonic(), _busy_s()
        self._look(at, busy)
        while not self._over.wait(self._every_s):
            usage, at, busy = self._look(at, busy), time.monotonic(), _busy_s()
            self.samples.append(usage)

    def _look(self, since: float, busy: float) -> Usage:
        gateway, model = _family(self._server_pid)
        gateway += [each for each in model if self._is_gateway(each)]
        model = [each for each in model if not self._is_gateway(each)]
        server = {process.pid for process in gateway + model}
        own, children = _family(os.getpid())
        ours = own + [child for child in children if child.pid not in server]
        (gateway_s, gateway_mb), (model_s, model_mb), (generator_s, _) = (
            self._meter.read(each) for each in (gateway, model, ours)
        )
        now = time.monotonic()
        seconds = max(now - since, 1e-3)
        return Usage(
            at=now,
            gateway_cores=gateway_s / seconds,
            model_cores=model_s / seconds,
            gateway_mb=gateway_mb,
            model_mb=model_mb,
            generator_cores=generator_s / seconds,
            machine_cores=(_busy_s() - busy) / seconds,
        )

    def _is_gateway(self, process: psutil.Process) -> bool:
        if process.pid not in self._gateways:
            with contextlib.suppress(psutil.Error):
                self._gateways[process.pid] = GATEWAY in process.cmdline()
        return self._gateways.get(process.pid, False)


def mean_usage(samples: list[Usage], since: float, until: float) -> Usages | None:
    """Of the samples between two times; None: there are none."""
    kept = [usage for usage in samples if since <= usage.at <= until]
    if not kept:
        return None

    def mean(values: Iterable[float]) -> float:
        return round(sum(values) / len(kept), 3)

    return Usages(
        gateway_cores=mean(usage.gateway_cores for usage in kept),
        model_cores=mean(usage.model_cores for usage in kept),
        generator_cores=mean(usage.generator_cores for usage in kept),
        machine_cores=mean(usage.machine_cores for usage in kept),
        others_cores=mean(
            usage.machine_cores - usage.gateway_cores - usage.model_cores - usage.generator_cores
            for usage in kept
        ),
        gateway_peak_mb=round(max(usage.gateway_mb for usage in kept), 1),
        model_peak_mb=round(max(usage.model_mb for usage in kept), 1),
    )


def wait_until_idle(pids: Sequence[int | None], within_s: float = 60.0) -> bool:
    """Waits until servers do next to nothing; whether they came to that. One that fell behind goes
    on long after its sessions were given up, and would do so in the next one's time."""
    meter, since = _Meter(), time.monotonic()
    processes = [each for pid in pids for part in _family(pid) for each in part]
    meter.read(processes)
    while time.monotonic() - since < within_s:
        time.sleep(EVERY_S)
        if meter.read(processes)[0] < IDLE_CORES * EVERY_S:
            return True
    return False


def _family(pid: int | None) -> tuple[list[psutil.Process], list[psutil.Process]]:
    """A process, and all that descend from it."""
    if pid is None:
        return [], []
    try:
        process = psutil.Process(pid)
        return [process], process.children(recursive=True)
    except psutil.Error:
        return [], []


def _busy_s() -> float:
    times = psutil.cpu_times()
    idle = times.idle + getattr(times, "iowait", 0.0) + getattr(times, "steal", 0.0)
    return float(sum(times) - idle)
