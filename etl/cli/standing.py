"""Where pipelines stand, told once or watched."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from etl.cli.names import AsJson, OptionalPipelineName
from etl.cli.session import app, error_text, session_of
from etl.cli.text import count, counted, escaped, moment, say, say_json, size, table
from etl.errors import EtlError
from etl.secrets import mask

if TYPE_CHECKING:
    from etl.cli.session import Session
    from etl.operations.failures import Failure
    from etl.operations.status import Status
    from etl.sinks.delta_health import TableHealth


_SHORTEST_S = 0.2


@app.command()
def status(
    context: typer.Context,
    pipeline: OptionalPipelineName = None,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Look again and again, until Ctrl-C.")] = False,
    interval: Annotated[str, typer.Option(metavar="DURATION", help="How long to wait between two looks.")] = "2s",
    as_json: AsJson = False,
) -> None:
    """Say where pipelines stand: state, lag, newest batch, last error.

    Example: etl status --watch
    """
    session = session_of(context)
    if watch:
        _watch(session, pipeline, _seconds(interval), as_json=as_json)
        return
    found = _look(session, pipeline)
    if as_json:
        say_json(_to_json(found))
    else:
        say(status_text(found, is_full=pipeline is not None))


def _look(session: Session, pipeline: str | None) -> list[Status]:
    from etl.operations.looking import Onlooker
    from etl.operations.status import status_of

    workspace, seam = session.workspace(), Onlooker()
    names = [spec.name for spec in workspace.specs([pipeline] if pipeline else None)]
    return [status_of(workspace.wired(name, seam), seam) for name in names]


def _to_json(found: list[Status]) -> list[dict[str, Any]]:
    from etl.operations.status import status_to_json

    return [status_to_json(each) for each in found]


def _seconds(text: str) -> float:
    from etl.options import parse_duration_s

    try:
        return max(parse_duration_s(text), _SHORTEST_S)
    except ValueError as exc:
        raise typer.BadParameter(str(exc), param_hint="--interval") from None


def _watch(session: Session, pipeline: str | None, interval_s: float, *, as_json: bool) -> None:
    """Look until interrupted: on one screen of a terminal, else line after line. A fault is shown, and looked past."""
    from contextlib import suppress

    from etl.seam import Seam

    seam = Seam()
    with suppress(KeyboardInterrupt), _screen(is_plain=as_json) as show:
        while True:
            try:
                found = _look(session, pipeline)
                text = (
                    json.dumps(_to_json(found), ensure_ascii=False, default=str)
                    if as_json
                    else status_text(found, is_full=pipeline is not None)
                )
            except EtlError as exc:
                text = json.dumps({"error": str(exc)}, ensure_ascii=False) if as_json else error_text(exc)
            now = moment(seam.now().isoformat())
            show(text if as_json else f"{now} UTC, every {interval_s:g} s, Ctrl-C ends\n\n{text}\n")
            seam.sleep(interval_s)


@contextmanager
def _screen(*, is_plain: bool) -> Iterator[Callable[[str], None]]:
    """Give what shows a text in place of the one before: a screen of its own where the output is a terminal."""
    if is_plain or not sys.stdout.isatty():
        yield say
        return
    from rich.console import Console
    from rich.text import Text

    with Console().screen() as screen:
        yield lambda text: screen.update(Text(mask(text)))


def status_text(found: list[Status], *, is_full: bool = False) -> str:
    """Return where pipelines stand, and below that what needs words: how a table stands where it is bad, or in full."""
    if not found:
        return "no pipelines: write one into pipelines/, or start with etl init"
    header = ["pipeline", "state", "waiting", "bytes", "batch", "committed (UTC)", "rows", "table", "version"]
    numbers = ("waiting", "bytes", "batch", "rows", "version", "quarantined", "behind")
    lines = [_status_row(each) for each in found]
    if any(each.open_rows != 0 and each.last_batch is not None for each in found):
        header.append("quarantined")
        lines = [(*line, count(each.open_rows)) for line, each in zip(lines, found, strict=True)]
    if any(each.lag_s is not None for each in found):
        header.append("behind")
        lines = [(*line, _behind(each)) for line, each in zip(lines, found, strict=True)]
    parts = [table(header, lines, numbers), *filter(None, map(_event_time, found))]
    told = [(each.table, each.health) for each in found if each.health is not None]
    parts += [escaped(f"{name}: {_health(it)}") for name, it in told if is_full or it.is_costly]
    for each in found:
        if each.note:
            parts.append(f"\n{each.pipeline}: {escaped(each.note, keep=chr(10))}")
        if each.last_error is not None:
            parts += _failure(each.pipeline, "refused" if each.state == "refused" else "failed", each.last_error)
    return "\n".join(parts)


def _health(health: TableHealth) -> str:
    """Return in words what a reader of a table meets."""
    files = f"{counted(health.files, 'file')} ({health.small_share:.0%} small)"
    log = f"{counted(health.log_entries, 'log version')} ({health.entries_to_read:,} since its summary)"
    return f"{files}, {log}; a scan opens {count(health.scan_cost)}, {count(health.least_cost)} would do"


def _event_time(status: Status) -> str:
    """Return how far event time has come and what is remembered, nothing where there is neither."""
    parts = [f"watermark {moment(status.watermark)} UTC"] if status.watermark else []
    if status.last_batch is not None and status.last_batch.result.state:
        rows, size_bytes = status.remembered
        parts.append(f"{', '.join(status.last_batch.result.state)} remember {counted(rows, 'row')}, {size(size_bytes)}")
    return f"{status.pipeline}: {escaped('; '.join(parts))}" if parts else ""


def _behind(status: Status) -> str:
    """Return since when bytes of logs wait."""
    return "" if status.lag_s is None else f"{status.lag_s:,.1f} s"


def _failure(pipeline: str, what: str, failure: Failure) -> list[str]:
    where = f"{escaped(failure.where)}: " if failure.where else ""
    at = f" at {moment(failure.failed_at)} UTC" if what == "failed" else ""
    lines = [f"\n{pipeline}: {what}{at}", f"  {where}{escaped(failure.message, keep=chr(10))}"]
    return [*lines, f"  {escaped(failure.hint)}"] if failure.hint else lines


def _status_row(status: Status) -> tuple[str, ...]:
    last = status.last_batch
    lag = (count(status.lag_files), size(status.lag_bytes))
    if last is None:
        return (status.pipeline, status.state, *lag, "", "", "", status.table, "")
    result = last.result
    version = result.tables.get(status.table, last.sides["main"].version if "main" in last.sides else "?")
    return (
        *(status.pipeline, status.state, *lag, count(result.batch_id), moment(last.committed_at)),
        *(count(result.rows.get("written")), status.table, str(version)),
    )
