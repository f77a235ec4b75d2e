"""Two gateways over the same copies of the real model in a Ray cluster."""

import asyncio
import random
from pathlib import Path

import psutil
import pytest

from tests.e2e.dialogue import Offline, converse
from tests.gateway.test_server import fails, gateway
from tests.ray_cluster import Cluster, free_port
from tests.speech import pcm16

pytestmark = [pytest.mark.xdist_group("ray"), pytest.mark.timeout(300)]


async def test_a_copy_that_dies_changes_no_word_at_any_gateway(
    cluster: Cluster, tmp_path: Path
) -> None:
    """P8 over a cluster: four sessions of 20 s at two gateways, three copies killed meanwhile."""
    audio, rate = pcm16("two_cities.wav")
    audio = audio[: 20 * 2 * rate]
    ray = ("--engine", "ray", "--engine-least", "2", "--engine-most", "2")

    async def strike() -> list[int]:
        struck = []
        for _ in range(3):
            await asyncio.sleep(1.5)
            if copies := cluster.copies:
                victim: psutil.Process = random.choice(copies)
                struck.append(victim.pid)
                victim.kill()
        return struck

    async with gateway(tmp_path / "a", *ray) as first, gateway(tmp_path / "b", *ray) as second:
        striking = asyncio.create_task(strike())
        dialogues = await asyncio.gather(
            *(
                converse(
                    each.server.ws, audio, bytes_per_second=2 * rate, speed=4,
                    query=f"sample_rate={rate}",
                )
                for each in (first, second) * 2
            )
        )  # fmt: skip
        struck = await striking
        copies = [each.server.metric("scribewire_model_copies") for each in (first, second)]
        restarts = first.server.metric("scribewire_model_restarts")

    offline = [final.text for final in Offline().finals(audio, rate)]
    for dialogue in dialogues:
        assert [final["text"] for final in dialogue.of("final")] == offline
        assert not dialogue.of("error")
        assert dialogue.retractions() == 0
        assert dialogue.close_code == 1000
    assert len(struck) >= 2
    assert restarts >= 1
    assert max(copies) <= 2


async def test_a_cluster_that_is_not_there_is_said_before_the_port_opens() -> None:
    address = f"ray://127.0.0.1:{free_port()}"
    code, out, err = await fails("--port", "0", "--engine", address)

    assert (code, out) == (1, "")
    assert f"no Ray cluster answers at '{address}'" in err
