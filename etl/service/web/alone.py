"""The metrics of a service that shows no page, behind the same guard and at the same place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from etl.secrets import register_secret
from etl.service.metrics import PATH, metrics_of
from etl.service.web.access import access_to, refuse_open
from etl.service.web.guard import Guard
from etl.service.web.server import PageServer, bind
from etl.service.web.text import need_web

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from etl.service.attendants import Premises


@dataclass(frozen=True, slots=True)
class MetricsAlone:
    """What answers. ``address`` is where."""

    server: PageServer
    address: str

    def close(self) -> None:
        """End it. *Repeat*: safe."""
        self.server.close()


def start(premises: Premises) -> MetricsAlone | None:
    """Listen, and tell where. Raises ConfigError where that may not be, or is not possible."""
    if premises.has_page:
        return None
    need_web()
    alone = opened_alone(premises)
    premises.tell(f"no status page; metrics, for who has the token serve.token: {alone.address}")
    return alone


def opened_alone(premises: Premises) -> MetricsAlone:
    """Return it, listening."""
    from starlette.applications import Starlette
    from starlette.responses import PlainTextResponse, Response
    from starlette.routing import Route

    options, measured = premises.options, metrics_of(premises.fleet)
    refuse_open(options)
    bound = bind(options.host, options.port)
    port: int = bound.getsockname()[1]

    def answer(_: Request) -> Response:
        if measured is None:
            return PlainTextResponse("nothing is measured here\n", 404)
        content, media_type = measured.exposition()
        return Response(content, headers={"content-type": media_type})

    app = Starlette(routes=[Route(PATH, answer, methods=["GET"])])
    access = access_to(options, premises.seam, port)
    register_secret(access.token)
    guarded = Guard(app, access, lambda: PlainTextResponse("no token\n", 401))
    server = PageServer(guarded, bound)
    server.start()
    return MetricsAlone(server, f"http://{options.host}:{port}{PATH}")
