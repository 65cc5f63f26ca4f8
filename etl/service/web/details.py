"""The pages that are opened to find something out: a batch, files, rejected rows, schema, tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from etl.errors import ConfigError
from etl.operations.extent import extents_of
from etl.operations.looking import Onlooker
from etl.operations.passing import Stretch, Wanted, files_in, passing
from etl.operations.quarantining import PipelineQuarantine, Selection
from etl.schema import format_type
from etl.service.web.charts import FATES

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from etl.checkpoint.folder import Checkpoint
    from etl.service.web.site import Site

FILES_SHOWN = 100
ROWS_SHOWN = 50
_MOST_TEXT = 200
_STATUSES = ("open", "replayed", "discarded")


def batch(site: Site, request: Request, form: dict[str, str]) -> Response:
    """Show all that the checkpoint knows of a batch."""
    del form
    name, batch_id = site.known(request.path_params["name"]), request.path_params["batch"]
    found = [entry for entry in site.reading.recent(name).entries(1, batch_id) if entry.result.batch_id == batch_id]
    if not found:
        raise ConfigError(f"batch {batch_id} is not committed", where=name)
    files = list(files_in(_checkpoint(site, name), batch_id))
    values = {
        "pipeline": name,
        "entry": found[0],
        "files": files[:FILES_SHOWN],
        "more": max(len(files) - FILES_SHOWN, 0),
        "fates": _fates(files),
        "newest": site.reading.recent(name).position().batch_id,
        "changes": [_change(change) for change in found[0].result.schema_changes],
    }
    return site.page("batch.html", values)


def files(site: Site, request: Request, form: dict[str, str]) -> Response:
    """Show the files of the newest batches, or of those before a batch, with the fate of their rows."""
    del form
    name = site.known(request.path_params["name"])
    recent = site.reading.recent(name)
    newest = recent.position().batch_id
    upto = _number(request.query_params.get("upto"))
    fate = request.query_params.get("fate", "")
    wanted = Wanted(fate if fate in FATES else "", request.query_params.get("text", "")[:_MOST_TEXT])
    start = newest if upto is None else min(upto, newest)
    found = passing(_checkpoint(site, name), start, wanted, FILES_SHOWN) if newest >= 0 else Stretch((), None)
    further = (
        "" if found.further is None else urlencode({"fate": wanted.fate, "text": wanted.text, "upto": found.further})
    )
    values = {
        "pipeline": name,
        "files": found.files,
        "fates": _fates(found.files),
        "all_fates": FATES,
        "wanted": wanted,
        "start": start,
        "newest": newest,
        "further": further,
    }
    return site.page("files.html", values)


def quarantine(site: Site, request: Request, form: dict[str, str]) -> Response:
    """Show the rejected rows: counted by rule, and some of them."""
    del form
    name = site.known(request.path_params["name"])
    found = PipelineQuarantine(site.reading.workspace(), name)
    status = request.query_params.get("status", "open")
    chosen = {
        "rule": request.query_params.get("rule", "")[:_MOST_TEXT],
        "file": request.query_params.get("file", "")[:_MOST_TEXT],
        "status": status if status in _STATUSES else "",
    }
    selection = Selection(chosen["rule"] or None, chosen["file"] or None, status=chosen["status"] or None)
    shown = found.shown(selection, ROWS_SHOWN + 1)
    rows = [] if shown is None else shown.to_dicts()
    values = {
        "pipeline": name,
        "table": found.table,
        "counts": found.counts(Selection()),
        "rows": rows[:ROWS_SHOWN],
        "has_more": len(rows) > ROWS_SHOWN,
        "chosen": chosen,
        "statuses": _STATUSES,
        "notice": site.notices.find(request.query_params.get("notice")),
    }
    return site.page("quarantine.html", values)


def schema(site: Site, request: Request, form: dict[str, str]) -> Response:
    """Show every version of the reading schema, and what led to it."""
    del form
    name = site.known(request.path_params["name"])
    checkpoint = site.reading.recent(name).checkpoint()
    versions = [] if checkpoint is None else checkpoint.schemas.all()[::-1]
    listed = [
        {
            "version": each,
            "changes": [
                _change({"column": c.column, "before": c.before, "after": c.after, "file": c.file})
                for c in each.changes
            ],
            "columns": {column: format_type(tree) for column, tree in each.schema.items()},
        }
        for each in versions
    ]
    return site.page("schema.html", {"pipeline": name, "versions": listed})


def table(site: Site, request: Request, form: dict[str, str]) -> Response:
    """Show how large the tables of a pipeline are."""
    del form
    name = site.known(request.path_params["name"])
    extents = extents_of(site.reading.spec(name), site.workspace.project, Onlooker())
    status = site.reading.glance(name).status
    health = None if status is None else status.health
    return site.page("table.html", {"pipeline": name, "extents": extents, "health": health})


def _checkpoint(site: Site, name: str) -> Checkpoint:
    found = site.reading.recent(name).checkpoint()
    if found is None:
        raise ConfigError("never run: there is nothing to show yet", where=name)
    return found


def _fates(listed: Any) -> list[str]:  # noqa: ANN401  a sequence of Passing
    return [fate for fate in FATES if fate == "written" or any(each.fates.get(fate) for each in listed)]


def _change(change: Any) -> dict[str, str]:  # noqa: ANN401  a mapping of plain values
    before, after = change.get("before"), change.get("after")
    return {
        "column": change.get("column") or "",
        "before": "" if before is None else format_type(before),
        "after": "" if after is None else format_type(after),
        "file": change.get("file") or "",
    }


def _number(text: str | None) -> int | None:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) <= 10 else None  # noqa: PLR2004
