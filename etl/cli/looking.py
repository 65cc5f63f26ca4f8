"""Commands that look at pipelines and change nothing."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from etl.cli.frames import say_frame
from etl.cli.names import AsJson, OptionalPipelineName, PipelineName
from etl.cli.session import app, session_of
from etl.cli.text import count, counted, escaped, moment, say, say_json, size, table, wrapped

if TYPE_CHECKING:
    from etl.checkpoint.commit_log import CommitEntry
    from etl.model import SchemaChange
    from etl.operations.failures import Failure
    from etl.operations.planning import NextBatch
    from etl.operations.status import Status
    from etl.operations.workspace import Workspace

_FILES_SHOWN = 10
_LABEL = 12


@app.command()
def plan(context: typer.Context, pipeline: PipelineName, as_json: AsJson = False) -> None:
    """Say what the next batch would read and write. Changes nothing.

    Example: etl plan orders
    """
    say_plan(session_of(context).workspace(), pipeline, as_json=as_json)


def say_plan(
    workspace: Workspace, name: str, *, as_json: bool, is_line: bool = False, full_refresh: bool = False
) -> None:
    """Print the next batch of a pipeline, or the first one of a full refresh."""
    from etl.operations.looking import Onlooker
    from etl.operations.planning import plan_next, plan_refresh

    seam = Onlooker()
    batch = plan_refresh(workspace, name, seam) if full_refresh else plan_next(workspace.wired(name, seam), seam)
    if as_json:
        say_json(_plan_to_json(batch), is_line=is_line)
        return
    say(f"{batch.pipeline} → {batch.table}")
    for label, text in _plan_lines(batch):
        say(f"  {label:<{_LABEL}} {text}")


def _plan_lines(batch: NextBatch) -> list[tuple[str, str]]:
    """Return what there is to say of a batch, by label."""
    if not batch.files and not batch.recovery:
        return [("next batch", f"{batch.batch_id}: nothing new to read"), ("definition", batch.definition)]
    lines = [("next batch", f"{batch.batch_id}: {counted(len(batch.files), 'file')}, {size(batch.size_bytes)}")]
    if batch.is_replacing:
        lines.append(("full refresh", "this batch takes the place of all that the table holds"))
    if batch.recovery:
        lines.append(("recovery", f"this batch is unfinished: {batch.recovery}"))
    lines += [("files" if index == 0 else "", text) for index, text in enumerate(_file_lines(batch))]
    lines += [("input", text) for text in _change_lines(batch.source_changes)]
    lines += [("table", text) for text in _change_lines(batch.table_changes)]
    lines.append(("definition", batch.definition))
    if batch.trouble is not None:
        lines.append(("would fail", escaped(str(batch.trouble), keep="\n")))
    return lines


def _file_lines(batch: NextBatch) -> list[str]:
    shown = [
        escaped(file.path) + (f"  (repeats {escaped(file.same_as)}: not read)" if file.same_as else "")
        for file in batch.files[:_FILES_SHOWN]
    ]
    more = len(batch.files) - len(shown)
    return [*shown, f"… and {counted(more, 'file')} more"] if more else shown


def _change_lines(changes: tuple[SchemaChange, ...]) -> list[str]:
    """Return the columns that are new, then each that becomes wider."""
    new = [f"{escaped(each.column)} {_type_text(each.after)}" for each in changes if each.before is None]
    wider = [
        f"column {escaped(each.column)}: {_type_text(each.before)} becomes {_type_text(each.after)}"
        for each in changes
        if each.before is not None
    ]
    return ([wrapped(f"{counted(len(new), 'new column')}: {', '.join(new)}", _LABEL + 3)] if new else []) + wider


def _type_text(tree: Any) -> str:  # noqa: ANN401  a type tree
    if not isinstance(tree, dict):
        return str(tree)
    if "list" in tree:
        return f"list<{_type_text(tree['list'])}>"
    fields = tree.get("struct", {})
    return "struct{" + ", ".join(f"{escaped(name)}: {_type_text(part)}" for name, part in fields.items()) + "}"


def _plan_to_json(batch: NextBatch) -> dict[str, Any]:
    trouble = None if batch.trouble is None else str(batch.trouble)
    return {**asdict(replace(batch, trouble=None)), "trouble": trouble}


@app.command()
def preview(
    context: typer.Context,
    pipeline: PipelineName,
    rows: Annotated[int, typer.Option(min=1, help="How many rows.")] = 20,
    at: Annotated[str | None, typer.Option(help="Stop after this transform: its number from 0, or its key.")] = None,
    as_json: AsJson = False,
) -> None:
    """Run on the first rows and print them. Writes nothing.

    Example: etl preview orders --rows 5 --at filter
    """
    from etl.operations.looking import Onlooker
    from etl.operations.preview import preview as first_rows

    seam = Onlooker()
    found = first_rows(session_of(context).workspace().wired(pipeline, seam), seam, rows, at)
    if found is None:
        say("there is no input yet", to_error=True)
        return
    if found.is_past:
        say("nothing new: these rows are of the newest batch, read once more", to_error=True)
    say_frame(found.frame, "json" if as_json else "table")


@app.command()
def status(context: typer.Context, pipeline: OptionalPipelineName = None, as_json: AsJson = False) -> None:
    """Say where pipelines stand: state, lag, newest batch, last error.

    Example: etl status
    """
    from etl.operations.looking import Onlooker
    from etl.operations.status import status_of, status_to_json

    workspace, seam = session_of(context).workspace(), Onlooker()
    names = [spec.name for spec in workspace.specs([pipeline] if pipeline else None)]
    found = [status_of(workspace.wired(name, seam), seam) for name in names]
    if as_json:
        say_json([status_to_json(each) for each in found])
    elif not found:
        say("no pipelines: write one into pipelines/, or start with etl init")
    else:
        say_status(found)


def say_status(found: list[Status]) -> None:
    """Print where pipelines stand, and below that what needs words."""
    header = ("pipeline", "state", "waiting", "bytes", "batch", "committed (UTC)", "rows", "table", "version")
    say(table(header, [_status_row(each) for each in found], ("waiting", "bytes", "batch", "rows", "version")))
    for each in found:
        if each.note:
            say(f"\n{each.pipeline}: {escaped(each.note, keep=chr(10))}")
        if each.last_error is not None:
            _say_failure(each.pipeline, "refused" if each.state == "refused" else "failed", each.last_error)


def _say_failure(pipeline: str, what: str, failure: Failure) -> None:
    where = f"{escaped(failure.where)}: " if failure.where else ""
    at = f" at {moment(failure.failed_at)} UTC" if what == "failed" else ""
    say(f"\n{pipeline}: {what}{at}")
    say(f"  {where}{escaped(failure.message, keep=chr(10))}")
    if failure.hint:
        say(f"  {escaped(failure.hint)}")


def _status_row(status: Status) -> tuple[str, ...]:
    last = status.last_batch
    lag = (count(status.lag_files), size(status.lag_bytes))
    if last is None:
        return (status.pipeline, status.state, *lag, "", "", "", status.table, "")
    result = last.result
    return (
        *(status.pipeline, status.state, *lag, count(result.batch_id), moment(last.committed_at)),
        *(count(result.rows.get("written")), status.table, str(result.tables.get(status.table, "?"))),
    )


@app.command()
def history(
    context: typer.Context,
    pipeline: PipelineName,
    batch: Annotated[int | None, typer.Option(min=0, help="Only this batch, in full.")] = None,
    as_json: AsJson = False,
) -> None:
    """List the committed batches of a pipeline: offsets, table version, rows, durations.

    Example: etl history orders --batch 3
    """
    from etl.errors import ConfigError
    from etl.operations.looking import Onlooker
    from etl.operations.status import history as committed

    seam = Onlooker()
    entries = committed(session_of(context).workspace().wired(pipeline, seam), seam)
    if batch is not None:
        entries = [entry for entry in entries if entry.result.batch_id == batch]
        if not entries:
            raise ConfigError(f"batch {batch} is not committed", where=pipeline)
    if as_json:
        say_json([asdict(entry.result) for entry in entries])
    elif not entries:
        say("never run")
    elif batch is None:
        say_history(entries)
    else:
        say_batch(entries[0])


def say_history(entries: list[CommitEntry]) -> None:
    """Print a line a batch; fates that no row had are left out."""
    rows = [entry.result.rows for entry in entries]
    fates = [fate for fate in rows[0] if fate in ("read", "written") or any(each.get(fate) for each in rows)]
    header = ("batch", "committed (UTC)", "bytes", *fates, "version", "seconds")
    lines = [
        (
            *(count(entry.result.batch_id), moment(entry.committed_at), size(entry.result.bytes_read)),
            *(count(entry.result.rows.get(fate, 0)) for fate in fates),
            *(", ".join(map(str, entry.result.tables.values())), f"{entry.result.seconds.get('total', 0.0):.2f}"),
        )
        for entry in entries
    ]
    say(f"{entries[0].result.pipeline} → {', '.join(entries[0].result.tables)}")
    say(table(header, lines, [name for name in header if name != "committed (UTC)"]))


def say_batch(entry: CommitEntry) -> None:
    """Print all that the commit log knows of a batch."""
    result = entry.result
    say(f"{result.pipeline}  batch {result.batch_id}  committed {moment(entry.committed_at)} UTC")
    parts = {
        "tables": ", ".join(f"{name} version {version}" for name, version in result.tables.items()),
        "rows": ", ".join(f"{count(rows)} {fate}" for fate, rows in result.rows.items()),
        "bytes read": size(result.bytes_read),
        "seconds": ", ".join(f"{step} {took_s}" for step, took_s in result.seconds.items()),
        "offsets": escaped(str(dict(result.offsets))),
        "definition": entry.definition,
        "attempt": entry.attempt,
    }
    for label, text in parts.items():
        say(f"  {label:<{_LABEL}} {text}")
