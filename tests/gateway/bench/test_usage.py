"""CPU and memory of processes."""

import asyncio
import os
import subprocess
import sys
import time

import psutil
import pytest

from gateway.bench.usage import Sampler, Usage, mean_usage, wait_until_idle
from tests.waiting import until


def cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def test_a_busy_process_is_seen_and_a_child_of_it_is_the_model() -> None:
    code = ("import subprocess, sys; c = subprocess.Popen([sys.executable, '-c', "
            "'while True: pass']); print(flush=True); sys.stdin.read(); c.kill()")  # fmt: skip
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        [child] = psutil.Process(process.pid).children()
        began, had_s = time.monotonic(), cpu_s(child)
        with Sampler(process.pid) as sampler:
            time.sleep(2.2)
        had = (cpu_s(child) - had_s) / (time.monotonic() - began)
        process.communicate()

    usage = mean_usage(sampler.samples, 0, time.monotonic())

    assert usage is not None
    # Whatever a busy machine leaves it, which it does in fits and starts.
    assert usage.model_cores == pytest.approx(had, rel=0.5)
    assert usage.gateway_cores < 0.1
    assert usage.machine_cores <= (os.cpu_count() or 1) * 1.1
    assert usage.model_peak_mb > 1


async def test_a_child_that_is_a_gateway_is_not_the_model() -> None:
    code = ("import subprocess, sys; c = subprocess.Popen([sys.executable, '-c', "
            "'print(flush=True); import sys; sys.stdin.read()', 'gateway.worker_process']); "
            "sys.stdin.read(); c.kill()")  # fmt: skip
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    await process.stdout.readline()
    with Sampler(process.pid) as sampler:
        await until(lambda: sampler.samples)
    await process.communicate(b"")  # ends its input, which None does not in Python 3.11

    assert sampler.samples[-1].model_mb == 0
    assert sampler.samples[-1].gateway_mb > 5


async def test_a_server_elsewhere_costs_nothing_here() -> None:
    with Sampler(None) as sampler:
        await until(lambda: sampler.samples)

    assert sampler.samples[0].gateway_mb == 0


def test_only_samples_of_the_time_count() -> None:
    samples = [Usage(float(i), float(i), 0, 10.0 * i, 0, 0, 0) for i in range(5)]

    usage = mean_usage(samples, 1, 3)

    assert usage is not None
    assert (usage.gateway_cores, usage.gateway_peak_mb) == (2.0, 30.0)
    assert mean_usage(samples, 10, 11) is None


BUSY = """
import os
first = os.getpid()
for _ in range(2):
    os.fork()
parent = os.getppid()
if os.getpid() == first:
    print(flush=True)
while os.getppid() == parent:
    pass
"""
"""Four processes, so that on a busy machine, too, they get more than an idle one takes."""


def test_it_is_waited_until_a_server_is_idle_or_the_time_is_out() -> None:
    with subprocess.Popen([sys.executable, "-c", BUSY], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        idle = [wait_until_idle([process.pid], within_s=1.1) for _ in range(5)]
        process.kill()

    assert not all(idle)
    assert wait_until_idle([process.pid, None], within_s=2.2)
