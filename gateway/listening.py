"""The port: one socket, or one for each of several processes; and how many may be connected."""

import resource
import socket
from contextlib import ExitStack

from gateway.parts import CannotStartError
from gateway.settings import Settings

MOST_DESCRIPTORS = 1 << 20


def allow_connections() -> None:
    """Raises this process's limit of descriptors, and so its children's, as far as is allowed.

    A connection takes one, and what starts services gives them 1,024.
    """
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_DESCRIPTORS if most == resource.RLIM_INFINITY else min(most, MOST_DESCRIPTORS)
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))


def bind(settings: Settings, *, shared: bool = False) -> socket.socket:
    """A bound socket that does not listen yet: a taken port is found before a model is loaded.

    Args:
        shared: others may be bound to the same port (``SO_REUSEPORT``).

    Raises:
        CannotStartError: the port cannot be had.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except socket.gaierror:
        raise CannotStartError(
            f"there is no address {settings.host!r}; give --host one of this machine's"
        ) from None
    bound = socket.socket(family, kind, protocol)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if shared:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        bound.bind(address)
    except OSError as error:
        bound.close()
        raise cannot_listen(settings, error) from None
    return bound


def bind_each(settings: Settings, count: int) -> list[socket.socket]:
    """Sockets on one port, among which the kernel spreads connections evenly.

    One socket shared by all would not do: whoever wakes up first takes all that wait.

    Raises:
        CannotStartError: the port cannot be had.
    """
    with bind(settings) as alone:  # else a second gateway would share the port with this one
        port = alone.getsockname()[1]
    settings = settings.model_copy(update={"port": port})
    with ExitStack() as opened:
        sockets = [opened.enter_context(bind(settings, shared=True)) for _ in range(count)]
        opened.pop_all()
        return sockets


def cannot_listen(settings: Settings, error: OSError) -> CannotStartError:
    """In a sentence."""
    return CannotStartError(
        f"cannot listen on {settings.host} port {settings.port} ({error.strerror}); "
        "stop what uses it or give another --port"
    )


def url_of(bound: socket.socket, scheme: str) -> str:
    """Where it is reached."""
    host, port = bound.getsockname()[:2]
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"
