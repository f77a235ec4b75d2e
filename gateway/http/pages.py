"""The pages and what they are made of."""

from importlib.resources import files
from types import MappingProxyType

from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

PAGES = MappingProxyType(
    {
        "/": "index.html",
        "/watch": "watch.html",
        "/overlay": "overlay.html",
        "/monitor": "monitor.html",
    }
)
"""For who speaks, for an audience, for a picture that somebody else shows, for the operator."""


def page_routes() -> list[BaseRoute]:
    """The pages at their paths, and their parts under ``/static``."""
    folder = files("web_demo")

    async def shown(request: Request) -> Response:
        return FileResponse(str(folder / PAGES[request.url.path]), media_type="text/html")

    pages = [Route(path, shown) for path in PAGES]
    return [*pages, Mount("/static", StaticFiles(directory=str(folder)))]
