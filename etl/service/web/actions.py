"""What a person may do from the page, where that is switched on: each by POST, what cannot be undone after a look."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, cast

from etl.errors import ConfigError, EtlError
from etl.operations.looking import Onlooker
from etl.operations.quarantining import Listening, PipelineQuarantine, Selection
from etl.operations.rewinding import Target, look_at_rewind
from etl.operations.rewinding import rewind as go_back
from etl.progress import Silent
from etl.readable import counted
from etl.service.web.access import ROOT

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from etl.operations.quarantining import Action, Resolved
    from etl.operations.rewinding import GoingBack
    from etl.service.web.site import Site

_BY = "from the status page"


def run_now(site: Site, request: Request, form: dict[str, str]) -> Response:
    """Start a run."""
    del form
    return _simple(site, request, site.fleet.run_now, "A run is started.")


def pause(site: Site, request: Request, form: dict[str, str]) -> Response:
    """Start no more runs."""
    del form
    return _simple(site, request, lambda name: site.fleet.pause(name, _BY), "Paused. Nothing runs until it is resumed.")


def resume(site: Site, request: Request, form: dict[str, str]) -> Response:
    """Go on."""
    del form
    return _simple(site, request, site.fleet.resume, "Resumed.")


def ask_rewind(site: Site, request: Request, form: dict[str, str]) -> Response:
    """Show what a rewind would do, and ask."""
    del form
    name = site.known(request.path_params["name"])
    recent = site.reading.recent(name)
    text = request.query_params.get("batch")
    batch_id = None if text is None else _batch(text)
    going: GoingBack | None = None
    error: EtlError | None = None
    if batch_id is not None:
        try:
            going = look_at_rewind(site.reading.workspace(), name, Target(batch=batch_id), Onlooker())
        except EtlError as exc:
            error = exc
    values = {
        "pipeline": name,
        "entries": recent.entries(20)[1:],
        "batch_id": batch_id,
        "going": going,
        "error": error,
    }
    return site.page("rewind.html", values)


def rewind(site: Site, request: Request, form: dict[str, str]) -> Response:
    """Go back to the end of a batch, when the pipeline's name was typed."""
    name = _allowed(site, request)
    batch_id = _batch(form.get("batch", ""))
    if form.get("confirm", "").strip() != name:
        raise ConfigError(f"type the name of the pipeline to confirm: {name}", where=name)

    def act() -> str:
        told = go_back(site.workspace, name, Target(batch=batch_id), site.seam)
        return f"Went back to batch {told.batch_id}; {counted(told.undone, 'batch')} will be read again."

    return _carried_out(site, name, act)


def ask_resolution(site: Site, request: Request, form: dict[str, str]) -> Response:
    """Show what a replay or a discard would do, and ask."""
    name = _allowed(site, request)
    action, selection = _action(form), _selection(form)
    found = PipelineQuarantine(site.reading.workspace(), name)
    values = {
        "pipeline": name,
        "action": action,
        "intention": found.intention(action, selection),
        "form": {field: form.get(field, "") for field in ("rule", "file", "row")},
    }
    return site.page("resolution.html", values)


def resolve(site: Site, request: Request, form: dict[str, str]) -> Response:
    """Replay or discard rejected rows."""
    name = _allowed(site, request)
    action, selection = _action(form), _selection(form)

    def act() -> str:
        found = PipelineQuarantine(site.workspace, name)
        return _told(found.resolve(action, selection, Listening(site.seam, Silent())))

    return _carried_out(site, name, act, "/quarantine")


def _told(done: Resolved) -> str:
    if done.action == "discard":
        return f"{counted(done.rows, 'row')} discarded."
    again = f", {done.rejected_again:,} rejected again" if done.rejected_again else ""
    kept = f"; {counted(done.not_kept, 'row')} cannot be replayed" if done.not_kept else ""
    return f"{counted(done.rows, 'row')} replayed: {done.written:,} written{again}{kept}."


def _allowed(site: Site, request: Request) -> str:
    """Return the pipeline that a request names, if the page may act. Raises ConfigError."""
    if not site.access.may_act:
        raise EtlError(
            "this page only looks",
            where="actions",
            hint="to let it act, write serve: {actions: true} into etl.yml, and start the service anew",
        )
    return site.known(request.path_params["name"])


def _simple(site: Site, request: Request, act: Callable[[str], None], told: str) -> Response:
    name = _allowed(site, request)
    act(name)
    return _seen(name, site.notices.add(told), "")


def _carried_out(site: Site, name: str, act: Callable[[], str], page: str = "") -> Response:
    """Carry out what needs the pipeline for itself, between its runs, and go to a page that tells how it went."""
    if not site.acting.acquire(blocking=False):
        raise EtlError("other actions are still under way", where=name, hint="wait for them, and do it again")
    try:
        told = site.fleet.between_runs(name, act)
    except (EtlError, OSError) as exc:
        return _seen(name, site.notices.add(str(exc), is_good=False), page)
    finally:
        site.acting.release()
    site.streams.tell(name, "moved")
    return _seen(name, site.notices.add(told), page)


def _seen(name: str, notice: str, page: str) -> Response:
    from starlette.responses import RedirectResponse

    return RedirectResponse(f"{ROOT}/pipelines/{name}{page}?notice={notice}", 303)


def _batch(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 10):  # noqa: PLR2004
        raise ConfigError("a batch is a number")
    return int(text)


def _action(form: dict[str, str]) -> Action:
    if form.get("action") not in ("replay", "discard"):
        raise ConfigError("rows are replayed or discarded")
    return cast("Action", form["action"])


def _selection(form: dict[str, str]) -> Selection:
    rows = tuple(row for row in form.get("row", "").splitlines() if row)
    return Selection(form.get("rule") or None, form.get("file") or None, row_ids=rows, status="open")
