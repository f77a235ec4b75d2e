"""The Ray Serve application of `deploy/kubernetes/ray`, in real Ray clusters."""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.chaos import chaos
from tests.e2e.test_draining import spoken
from tests.e2e.test_resuming import MODEL, finals
from tests.gateway.test_server import ROOT, gateway
from tests.ray_cluster import Cluster, a_cluster, free_port

pytestmark = [pytest.mark.xdist_group("ray"), pytest.mark.timeout(180)]

CLUSTER_WITHIN_S = 90
"""Two clusters start beside other tests, on two cores."""

KEEP = """
import json, sys
import ray
from ray import serve
from engine.cluster.ray_actors import NAMESPACE
from gateway.ray_service import app

address, port, arguments = sys.argv[1:]
ray.init(address, log_to_driver=False)
serve.start(http_options={"host": "127.0.0.1", "port": int(port)})
serve.run(app(json.loads(arguments)), name="models", route_prefix="/copies")
print("runs", flush=True)
sys.stdin.read()
serve.shutdown()
for each in ray.util.list_named_actors(all_namespaces=True):
    if each["namespace"] == NAMESPACE:
        ray.kill(ray.get_actor(each["name"], NAMESPACE))
"""
"""What KubeRay does with `serveConfigV2`, until its stdin ends."""


@contextmanager
def kept(cluster: Cluster, arguments: str) -> Iterator[Callable[[], str]]:
    """Deploys the application; what is to be called waits until it runs, and says where."""
    port = free_port()
    with subprocess.Popen(
        [sys.executable, "-c", KEEP, f"127.0.0.1:{cluster.port}", str(port), arguments],
        cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as serving:  # fmt: skip

        def runs() -> str:
            assert serving.stdout is not None
            while (line := serving.stdout.readline()) not in ("runs\n", ""):
                pass
            assert line, serving.communicate()[1]
            return f"http://127.0.0.1:{port}/copies"

        yield runs
        serving.communicate()


async def test_a_cluster_is_replaced_amid_speech(cluster: Cluster, tmp_path: Path) -> None:
    """As KubeRay does it: copies load in a new cluster, its service points there, the old one ends.

    The transcript is, word for word, that of an undisturbed session.
    """
    arguments = json.dumps({"model": MODEL, "engine_least": 2, "engine_most": 2})
    began = time.time()  # other tests' copies may still be there
    with kept(cluster, arguments) as runs, a_cluster(tmp_path / "old") as old:
        url = runs()
        async with httpx.AsyncClient(trust_env=False, timeout=20) as client:
            said = (await client.get(url)).json()
        loaded = [copy for copy in cluster.copies if copy.create_time() > began]
        async with chaos(f"ws://127.0.0.1:{old.client_port}") as service:
            engine = ("--engine", service.url.replace("ws", "ray"), "--model", MODEL)
            async with gateway(tmp_path / "log", *engine, within_s=CLUSTER_WITHIN_S) as running:
                clean = await spoken(running.server.ws, asyncio.Event())
                amid = asyncio.Event()
                speaking = asyncio.create_task(spoken(running.server.ws, amid))
                await amid.wait()
                service.target = f"ws://127.0.0.1:{cluster.client_port}"
                old.kill()
                events = await speaking

    assert said == {"copies": 2}
    assert len(loaded) == 2
    assert len(finals(clean)) > 3
    assert finals(events) == finals(clean)
    assert events[-1]["type"] == "done"
