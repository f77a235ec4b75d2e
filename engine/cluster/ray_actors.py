"""The only module that knows Ray: it makes actors of `ModelHost` and `Pool`, and finds them."""

import asyncio
import math
import os
import socket
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from engine.cluster.host import ModelHost
from engine.cluster.pool import Plan, Pool
from engine.models.base import ModelUnavailableError

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
# Ray's client would hold up whoever calls it for half a minute, for a cluster that may be no more;
# `RayRunner` joins again by itself.
os.environ.setdefault("RAY_CLIENT_RECONNECT_GRACE_PERIOD", "0")
_TOKENS, _TOKEN_FILE = ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"), Path.home() / ".ray/auth_token"
if any(map(os.environ.get, _TOKENS)) or _TOKEN_FILE.exists():
    # Ray shows its token to a cluster that it did not start only when told to.
    os.environ.setdefault("RAY_AUTH_MODE", "token")

try:
    import ray
    from ray.exceptions import RayError, RayTaskError
    from ray.util.client.common import ClientActorHandle
except ImportError as error:
    raise ModelUnavailableError(
        "--engine ray needs the extra `cluster`: pip install 'scribewire[cluster]'"
    ) from error

NAMESPACE = "scribewire"
LOCAL = "ray"
CONNECT_TRIES = 5
"""To a cluster over Ray's client protocol."""
CALLS_AT_ONCE = 10_000
"""Of an actor: they wait for a lane there, where they are merged."""

_callers = ThreadPoolExecutor(4, thread_name_prefix="ray-client")
"""For Ray's client, which holds up whoever calls; see `call`."""


class PoolActor(Pool):
    """A `Pool` whose copies are actors of their own, found again by name after a restart."""

    def __init__(self, plan: Plan) -> None:
        prefix = f"{plan.name}-copy-"
        # Whoever made the pool may be at home in another namespace, as Ray Serve is.
        actors = ray.util.list_named_actors(all_namespaces=True)
        ours = [each["name"] for each in actors if each["namespace"] == NAMESPACE]
        running = {
            int(name.removeprefix(prefix)): ray.get_actor(name, NAMESPACE)
            for name in ours
            if name.startswith(prefix)
        }
        me = ray.get_runtime_context().current_actor
        super().__init__(plan, _start_copy, _stop, lambda: _stop(me), running)


def _start_copy(plan: Plan, number: int) -> Any:
    actor = ray.remote(ModelHost).options(
        name=f"{plan.name}-copy-{number}", namespace=NAMESPACE, lifetime="detached",
        num_cpus=plan.cpus, num_gpus=plan.gpus, max_concurrency=CALLS_AT_ONCE,
    )  # fmt: skip
    return actor.remote(plan.model, asdict(plan.options))


def _stop(actor: Any) -> None:
    ray.kill(actor)


def connect(address: str, plan: Plan) -> None:
    """Joins the cluster at ``address``, or starts one with room for the plan; see `RayRunner`.

    Raises:
        ModelUnavailableError: there is no such cluster.
    """
    for left in reversed(range(CONNECT_TRIES)):
        try:
            return _connect(address, plan)
        except (OSError, RayError, RuntimeError, ValueError) as error:
            # What is half connected would stand in the way of every later attempt.
            ray.shutdown()
            # Ray's proxy forks a server for each client, and now and then the fork dies at once, or
            # when the client has just been connected.
            died = isinstance(error, ConnectionError)
            nobody = isinstance(error, ConnectionRefusedError)
            if nobody or not (left and died):
                raise ModelUnavailableError(
                    f"no Ray cluster answers at {address!r} ({error}); "
                    "start one with `ray start --head`"
                ) from error


def pool_of(plan: Plan) -> Any:
    """The actor that owns this plan's copies, new if there is none."""
    options = {
        "name": plan.name, "namespace": NAMESPACE, "get_if_exists": True, "lifetime": "detached",
        "num_cpus": 0, "max_restarts": -1, "max_concurrency": CALLS_AT_ONCE,
    }  # fmt: skip
    return ray.remote(PoolActor).options(**options).remote(plan)


async def call(actor: Any, method: str, *arguments: Any) -> Any:
    """What an actor's method answers, or raises; see `is_loss`."""
    if not isinstance(actor, ClientActorHandle):
        return await getattr(actor, method).remote(*arguments)
    loop = asyncio.get_running_loop()
    answer = await loop.run_in_executor(_callers, _begin, actor, method, arguments)
    return await asyncio.wrap_future(answer)


def _begin(actor: Any, method: str, arguments: tuple[Any, ...]) -> "Future[Any]":
    """Ray's client has whoever calls wait until the cluster has taken note of it, at an actor's
    first call also until it has told its methods: for minutes, if the way there was just lost."""
    called = getattr(actor, method).remote(*arguments)
    called.binary()  # else whoever drops it waits
    answer: Future[Any] = called.future()
    return answer


def is_loss(error: Exception) -> bool:
    """Whether an actor, its machine or the connection is gone, rather than its code at fault."""
    lost = isinstance(error, RayError | ConnectionError) or is_disconnection(error)
    return lost and not isinstance(error, RayTaskError)


def is_disconnection(error: Exception) -> bool:
    """Whether this process is no part of the cluster any more: all copies are out of reach."""
    # Ray's client says so by an exception of no class of its own.
    return isinstance(error, ConnectionError) or type(error) is Exception


def _connect(address: str, plan: Plan) -> None:
    if address == LOCAL:
        address = os.environ.get("RAY_ADDRESS", "local")
    # Not looked for on this machine unasked: what a dead cluster left there makes Ray wait minutes.
    options: dict[str, Any] = {}
    if address == "local":
        # Else all other work on the machine goes before that of Ray's workers.
        os.environ.setdefault("RAY_worker_niceness", "0")
        cpus = max(os.cpu_count() or 1, math.ceil(plan.most * plan.cpus))
        options = {"include_dashboard": False, "num_cpus": cpus}
    elif address != "auto":
        _check(address)
    ray.init(address, namespace=NAMESPACE, log_to_driver=False, **options)


def _check(address: str) -> None:
    """Ray itself would try for a minute.

    Raises:
        OSError, ValueError: nobody listens there; it is no address.
    """
    parts = urlsplit(address if "//" in address else f"//{address}")
    with socket.create_connection((parts.hostname or "", parts.port or 10001), 5):
        pass


def address() -> str:
    """Of the cluster that was joined, for other processes of this machine."""
    return str(ray.get_runtime_context().gcs_address)


def leave() -> None:
    """Ends the connection; a cluster that `connect` started ends with it."""
    ray.shutdown()
