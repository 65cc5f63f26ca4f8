"""The pages that are open all day: all pipelines, one pipeline, the graph."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from etl.errors import ConfigError, EtlError
from etl.service.metrics import metrics_of
from etl.service.web.charts import charts_of

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from etl.service.web.site import Site

CHARTED = 60
LISTED = 20
_ORDER = {"faulty": 0, "degraded": 1, "paused": 2, "running": 3, "waiting": 4}


def overview(site: Site, request: Request, form: dict[str, str]) -> Response:
    """Show every pipeline."""
    del form
    glances = site.reading.glances()
    phases = Counter(str(glance.served.phase) for glance in glances)
    values = {
        "glances": glances,
        "phases": sorted(phases.items(), key=lambda each: _ORDER.get(each[0], 9)),
        "open_rows": sum(glance.open_rows for glance in glances),
        "notice": site.notices.find(request.query_params.get("notice")),
    }
    return site.page("overview.html", values)


def pipeline(site: Site, request: Request, form: dict[str, str]) -> Response:
    """Show one pipeline: where it stands, its batches as charts and as a table."""
    del form
    name = site.known(request.path_params["name"])
    recent = site.reading.recent(name)
    upto = _number(request.query_params.get("upto"))
    charted = recent.entries(CHARTED)
    listed = recent.entries(LISTED + 1, upto)
    values = {
        "pipeline": name,
        "glance": site.reading.glance(name),
        "charts": charts_of(charted),
        "entries": listed[:LISTED],
        "older": listed[LISTED].result.batch_id if len(listed) > LISTED else None,
        "upto": upto,
        "notice": site.notices.find(request.query_params.get("notice")),
    }
    return site.page("pipeline.html", values)


def graph(site: Site, request: Request, form: dict[str, str]) -> Response:
    """Show which pipeline reads and writes what."""
    del request, form
    drawn = site.reading.graph()
    phases = {served.name: str(served.phase) for served in site.fleet.served()}
    return site.page("graph.html", {"graph": drawn.graph, "layout": drawn.layout, "phases": phases})


def report(site: Site, request: Request, form: dict[str, str]) -> Response:
    """Give the report of a pipeline as a file."""
    from starlette.responses import Response as Plain

    from etl.service.web.report import report_of

    del form
    name = site.known(request.path_params["name"])
    text = report_of(site.workspace, name, site.seam)
    headers = {"content-disposition": f'attachment; filename="{name}.html"'}
    return Plain(text, media_type="text/html", headers=headers)


def metrics(site: Site, request: Request, form: dict[str, str]) -> Response:
    """Give the figures of the service to Prometheus."""
    from starlette.responses import PlainTextResponse
    from starlette.responses import Response as Plain

    del request, form
    measured = metrics_of(site.fleet)
    if measured is None:
        return PlainTextResponse("nothing is measured here\n", 404)
    content, media_type = measured.exposition()
    return Plain(content, headers={"content-type": media_type})


def trouble(site: Site, exc: Exception) -> Response:
    """Tell an error of ours: 404 for what is not there, 409 for what cannot be done now."""
    status = 404 if isinstance(exc, ConfigError) else 409
    return site.page("trouble.html", {"error": exc, "is_ours": isinstance(exc, EtlError)}, status)


def nowhere(site: Site) -> Response:
    """Tell that there is no such page."""
    return site.page("trouble.html", {"error": ConfigError("there is no such page"), "is_ours": True}, 404)


def _number(text: str | None) -> int | None:
    """Return a batch id that a request gives, None for anything else."""
    return int(text) if text and text.isascii() and text.isdigit() and len(text) <= 10 else None  # noqa: PLR2004
