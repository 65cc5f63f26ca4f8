"""The application: its table of routes, behind the guard."""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING

from etl.service.metrics import PATH as METRICS
from etl.service.web import actions, details, entrance, pages
from etl.service.web.access import ROOT, SIGN_IN
from etl.service.web.guard import BROKEN, Guard
from etl.service.web.streams import EventStream

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import BaseRoute
    from starlette.types import ASGIApp

    from etl.service.web.site import Site

STATIC = {
    "page.css": "text/css",
    "page.js": "text/javascript",
    "htmx.min.js": "text/javascript",
    "uplot.min.js": "text/javascript",
    "uplot.min.css": "text/css",
    "icon.svg": "image/svg+xml",
}
"""The files that are served, by name: no path that a request names is ever opened."""

PIPELINE = f"{ROOT}/pipelines/{{name}}"


def application(site: Site) -> ASGIApp:
    """Return the page as an ASGI application."""
    from starlette.applications import Starlette
    from starlette.responses import PlainTextResponse

    from etl.errors import EtlError

    inner = Starlette(
        routes=routes(site),
        exception_handlers={
            EtlError: lambda _, exc: pages.trouble(site, exc),
            404: lambda *_: pages.nowhere(site),
            500: lambda *_: PlainTextResponse(f"{BROKEN.reason}\n", BROKEN.status),
        },
    )
    return Guard(inner, site.access, lambda: entrance.ask(site))


def routes(site: Site) -> list[BaseRoute]:
    """Return every route of the page: what is looked at by GET, what is done by POST."""
    from starlette.responses import RedirectResponse
    from starlette.routing import Route

    looks = {
        f"{ROOT}/": pages.overview,
        f"{ROOT}/graph": pages.graph,
        PIPELINE: pages.pipeline,
        f"{PIPELINE}/batches/{{batch:int}}": details.batch,
        f"{PIPELINE}/files": details.files,
        f"{PIPELINE}/quarantine": details.quarantine,
        f"{PIPELINE}/schema": details.schema,
        f"{PIPELINE}/table": details.table,
        f"{PIPELINE}/rewind": actions.ask_rewind,
        f"{PIPELINE}/report": pages.report,
    }
    acts = {
        f"{PIPELINE}/run": actions.run_now,
        f"{PIPELINE}/pause": actions.pause,
        f"{PIPELINE}/resume": actions.resume,
        f"{PIPELINE}/rewind": actions.rewind,
        f"{PIPELINE}/quarantine": actions.ask_resolution,
        f"{PIPELINE}/quarantine/resolve": actions.resolve,
    }
    return [
        Route("/", lambda _: RedirectResponse(f"{ROOT}/"), methods=["GET"]),
        Route(ROOT, lambda _: RedirectResponse(f"{ROOT}/"), methods=["GET"]),
        Route(SIGN_IN, entrance.bound(site, entrance.arrive), methods=["GET"]),
        Route(SIGN_IN, entrance.bound(site, entrance.sign_in), methods=["POST"]),
        Route(METRICS, entrance.bound(site, pages.metrics), methods=["GET"]),
        Route(f"{ROOT}/events", EventStream(site.streams), methods=["GET"]),
        Route(f"{ROOT}/static/{{file}}", static, methods=["GET"]),
        *(Route(path, entrance.bound(site, act), methods=["GET"]) for path, act in looks.items()),
        *(Route(path, entrance.bound(site, act), methods=["POST"]) for path, act in acts.items()),
    ]


def static(request: Request) -> Response:
    """Answer with one of the files that stand in the list."""
    from starlette.responses import PlainTextResponse, Response

    name = request.path_params["file"]
    if name not in STATIC:
        return PlainTextResponse("there is no such file\n", 404)
    content = files("etl.service.web").joinpath("static", name).read_bytes()
    return Response(content, media_type=STATIC[name], headers={"cache-control": "private, max-age=3600"})
