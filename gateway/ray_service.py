"""A Ray Serve application for KubeRay's `RayService`: it runs when copies of the model have loaded.

KubeRay puts a new cluster in the place of an old one once the new one's applications run. No audio
goes through this one: gateways talk to the copies.
"""

from typing import Any

from ray import serve

from engine.cluster.keeper import Keeper
from engine.cluster.pool import Plan
from engine.cluster.ray_actors import pool_of
from gateway.parts import plan_of
from gateway.settings import Settings


class Models:
    """A replica, as Serve calls it. While the model cannot run, Serve tries again, and says why."""

    async def __init__(self, plan: Plan) -> None:  # type: ignore[misc]  # Serve awaits it
        """Returns when copies have loaded."""
        self._keeper = Keeper(pool_of(plan), plan)
        await self._keeper.load()

    async def check_health(self) -> None:
        """Serve's every ten seconds."""
        await self._keeper.check()

    async def __call__(self, request: Any) -> dict[str, int]:
        """How many copies take work, as JSON for whoever asks over HTTP."""
        return {"copies": await self._keeper.copies()}


def app(args: dict[str, Any]) -> serve.Application:
    """What `serveConfigV2` names as ``import_path``.

    Args:
        args: settings of the gateways' (`Settings`), as ``model`` and ``engine_least``. What they
            leave out is read from the environment.
    """
    deploy = serve.deployment(ray_actor_options={"num_cpus": 0})
    application: serve.Application = deploy(Models).bind(plan_of(Settings(**args)))
    return application
