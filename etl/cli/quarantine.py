"""Commands about rejected rows."""

from __future__ import annotations

import signal
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from etl.cli.interruption import GRACE_S, Interruption
from etl.cli.names import AsJson, PipelineName
from etl.cli.reporting import reporting
from etl.cli.session import INTERRUPTED, app, session_of
from etl.cli.text import count, counted, escaped, say, say_json, table

if TYPE_CHECKING:
    import polars as pl

    from etl.operations.quarantining import Action, Intention, PipelineQuarantine, Resolved, Selection

_RAW_SHOWN = 2000
_LABEL = 8

commands = typer.Typer(no_args_is_help=True, rich_markup_mode=None)

Rule = Annotated[str | None, typer.Option(help="Only rows that broke this rule.")]
File = Annotated[str | None, typer.Option(help="Only rows of this input file.")]
Batch = Annotated[int | None, typer.Option(min=0, help="Only rows that this batch rejected.")]
RowIds = Annotated[list[str] | None, typer.Option("--row", metavar="ID", help="This row; may be said several times.")]
Status = Annotated[str | None, typer.Option(help="Only rows that are open, replayed or discarded.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")]


@commands.callback()
def quarantine() -> None:
    """List, show, replay or discard the rows that a pipeline rejected.

    Example: etl quarantine list orders
    """


app.add_typer(commands, name="quarantine")


@dataclass(frozen=True, slots=True)
class _Filter:
    """The options that select rows."""

    rule: str | None
    file: str | None
    batch: int | None
    row_ids: list[str] | None = None
    status: str | None = None

    @property
    def is_given(self) -> bool:
        """Whether any of them was."""
        return self != _Filter(None, None, None)

    def selection(self, of: PipelineQuarantine) -> Selection:
        """Return what they select."""
        from etl.operations.quarantining import Selection

        statuses = ("open", "replayed", "discarded")
        if self.status not in (None, *statuses):
            raise typer.BadParameter(f"one of {', '.join(statuses)}", param_hint="--status")
        file = None if self.file is None else of.file_text(self.file)
        return Selection(self.rule, file, self.batch, tuple(self.row_ids or ()), self.status)


def _of(context: typer.Context, pipeline: str) -> PipelineQuarantine:
    from etl.operations.quarantining import PipelineQuarantine

    return PipelineQuarantine(session_of(context).workspace(), pipeline)


@commands.command("list")
def list_(
    context: typer.Context,
    pipeline: PipelineName,
    *,
    rule: Rule = None,
    file: File = None,
    batch: Batch = None,
    status: Status = None,
    as_json: AsJson = False,
) -> None:
    """Count the rejected rows of a pipeline by rule and status.

    Example: etl quarantine list orders --status open
    """
    of = _of(context, pipeline)
    counts = of.counts(_Filter(rule, file, batch, status=status).selection(of))
    if as_json:
        say_json([asdict(each) for each in counts])
        return
    if not counts:
        say("no such rows")
        return
    lines = [
        (each.rule, each.status, count(each.rows), count(each.first_batch), count(each.last_batch)) for each in counts
    ]
    say(f"{of.name} → {of.table}")
    numbers = ("rows", "first batch", "last batch")
    say(table(("rule", "status", *numbers), lines, numbers))


@commands.command()
def show(
    context: typer.Context,
    pipeline: PipelineName,
    *,
    rule: Rule = None,
    file: File = None,
    batch: Batch = None,
    row: RowIds = None,
    status: Status = None,
    rows: Annotated[int, typer.Option(min=1, help="How many rows at most.")] = 20,
    as_json: AsJson = False,
) -> None:
    """Show rejected rows: where each stood, why it was rejected, and what it is.

    Example: etl quarantine show orders --rule syntax --rows 5
    """
    of = _of(context, pipeline)
    selection = _Filter(rule, file, batch, row, status).selection(of)
    found = of.shown(selection, rows)
    if as_json:
        say_json([] if found is None else [_row_to_json(each) for each in found.to_dicts()])
    elif found is None or not found.height:
        say("no such rows")
    else:
        _say_rows(found)


def _row_to_json(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row as plain values, bytes in base64."""
    import base64

    found = row["raw_bytes"]
    moments = {name: None if row[name] is None else row[name].isoformat() for name in ("rejected_at", "resolved_at")}
    return {**row, **moments, "raw_bytes": None if found is None else base64.b64encode(found).decode()}


def _say_rows(found: pl.DataFrame) -> None:
    for row in found.iter_rows(named=True):
        settled = "" if row["resolved_in"] is None else f" in batch {row['resolved_in']}"
        reason = row["reason"].removeprefix(f"{row['rule']}: ")
        say(f"{row['row_id']}  {row['status']}{settled}  {escaped(row['rule'])}: {escaped(reason)}")
        place = [escaped(row["_source_file"] or "no file")]
        place += [f"line {count(row['line'])}"] if row["line"] is not None else []
        place += [f"offset {count(row['_source_offset'])}"] if row["_source_offset"] is not None else []
        say(f"  {', '.join(place)}")
        if row["raw"] is not None:
            cut = "…" if len(row["raw"]) > _RAW_SHOWN else ""
            say(f"  {escaped(row['raw'][:_RAW_SHOWN])}{cut}")


@commands.command()
def replay(
    context: typer.Context,
    pipeline: PipelineName,
    *,
    rule: Rule = None,
    file: File = None,
    batch: Batch = None,
    row: RowIds = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Send open rows through the pipeline as it is now, each exactly once; without a selection, all of them.

    They arrive in batches of their own, with the file and offset that they had. Those that fail again are new rows of
    the quarantine. Stopped or killed at any moment, the batch under way is brought to its end by the next etl run.

    Example: etl quarantine replay orders --rule positive
    """
    _carry_out(context, pipeline, "replay", _Filter(rule, file, batch, row), (dry_run, as_json))


@commands.command()
def discard(
    context: typer.Context,
    pipeline: PipelineName,
    *,
    rule: Rule = None,
    file: File = None,
    batch: Batch = None,
    row: RowIds = None,
    everything: Annotated[bool, typer.Option("--all", help="Every open row.")] = False,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Give open rows up: they stay in the table, marked as discarded.

    Example: etl quarantine discard orders --file landing/1.ndjson
    """
    chosen = _Filter(rule, file, batch, row)
    if everything == chosen.is_given:
        raise typer.BadParameter("select rows with --rule, --file, --batch or --row, or say --all for every one")
    _carry_out(context, pipeline, "discard", chosen, (dry_run, as_json))


def _carry_out(context: typer.Context, pipeline: str, action: Action, chosen: _Filter, how: tuple[bool, bool]) -> None:
    is_dry, as_json = how
    of = _of(context, pipeline)
    selection = chosen.selection(of)
    if is_dry:
        _say_intention(of.intention(action, selection), action, as_json=as_json)
        return
    with Interruption(partial(say, to_error=True), GRACE_S) as interruption, reporting(as_json=False) as reporter:
        from etl.operations.quarantining import Listening
        from etl.progress import Silent
        from etl.seam import Seam

        listening = Listening(Seam(), Silent() if as_json else reporter, lambda: interruption.is_wanted)
        try:
            done = of.resolve(action, selection, listening)
        except KeyboardInterrupt:
            say("abandoned the batch; the next run brings it to its end, nothing is lost or doubled", to_error=True)
            raise typer.Exit(INTERRUPTED) from None
    _say_resolved(done, as_json=as_json)
    if interruption.is_wanted:
        say("stopped: the batch under way was finished, the other rows are still open", to_error=True)
        raise typer.Exit(INTERRUPTED if interruption.signal == signal.SIGINT else 0)


def _say_intention(found: Intention, action: Action, *, as_json: bool) -> None:
    if as_json:
        say_json({"action": action, **asdict(found)})
        return
    say(f"would {action} {counted(found.rows, 'row')} in {counted(found.batches, 'batch')}")
    for rule, rows in found.rules.items():
        say(f"  {escaped(rule)}: {count(rows)}")
    _say_not_kept(found.not_kept)


def _say_resolved(done: Resolved, *, as_json: bool) -> None:
    if as_json:
        told = {**asdict(replace(done, batches=())), "batches": [asdict(each) for each in done.batches]}
        say_json({**told, "written": done.written, "rejected_again": done.rejected_again})
        return
    if not done.batches:
        say("no open rows")
        return
    batches = f"{'batch' if len(done.batches) == 1 else 'batches'} {_numbers(done)}"
    if done.action == "discard":
        say(f"{done.pipeline}  {counted(done.rows, 'row')} discarded, {batches}")
    else:
        more = [f"{count(rows)} {fate}" for fate, rows in done.fates.items() if rows and fate not in _TOLD]
        fates = [f"{count(done.written)} written", f"{count(done.rejected_again)} rejected again", *more]
        say(f"{done.pipeline}  {counted(done.rows, 'row')} replayed: {', '.join(fates)}, {batches}")
    _say_not_kept(done.not_kept)


_TOLD = ("read", "written", "quarantined")


def _numbers(done: Resolved) -> str:
    first, last = done.batches[0].batch_id, done.batches[-1].batch_id
    return f"{first:,}" if first == last else f"{first:,} to {last:,}"


def _say_not_kept(rows: int) -> None:
    if rows:
        say(f"  {counted(rows, 'row')} stay open: they were not kept as a whole")
