"""Commands about what stateful transforms remember."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from etl.cli.frames import Format, FormatOption, Output, chosen_format, plain_rows, put_frame, say_frame
from etl.cli.names import AsJson, PipelineName
from etl.cli.session import app, session_of
from etl.cli.text import count, counted, escaped, moment, say, say_json, size, table

if TYPE_CHECKING:
    from collections.abc import Callable

    import polars as pl

    from etl.operations.states import PipelineState, StoredTableFacts

T = TypeVar("T")

commands = typer.Typer(no_args_is_help=True, rich_markup_mode=None)

Batch = Annotated[int | None, typer.Option(min=0, help="After this batch; without it, after the newest.")]


@commands.callback()
def state() -> None:
    """Show or query what the stateful transforms of a pipeline remember. Changes nothing.

    Example: etl state show orders
    """


app.add_typer(commands, name="state")


@commands.command()
def show(
    context: typer.Context,
    pipeline: PipelineName,
    transform: Annotated[str | None, typer.Argument(metavar="TRANSFORM", help="As the list names it.")] = None,
    *,
    batch: Batch = None,
    rows: Annotated[int, typer.Option(min=1, help="How many rows of each table at most.")] = 20,
    as_json: AsJson = False,
) -> None:
    """List the transforms that remember something, or print the tables of one.

    Example: etl state show orders group_by --rows 5
    """
    if transform is None:
        say_tables(*_read(context, pipeline, batch, lambda found: (found, found.tables)), as_json=as_json)
        return
    named = transform

    def first_rows(found: PipelineState) -> tuple[PipelineState, dict[str, pl.DataFrame]]:
        names = found.reader(named).tables
        return found, {name: found.first_rows(named, name, rows) for name in names}

    found, frames = _read(context, pipeline, batch, first_rows)
    if as_json:
        tables = {name: plain_rows(frame) for name, frame in frames.items()}
        say_json({"pipeline": pipeline, "batch_id": found.batch_id, "transform": transform, "tables": tables})
        return
    for each in found.tables:
        if each.transform == transform:
            say_rows(each, frames[each.table], found.batch_id)


def _read(context: typer.Context, name: str, batch: int | None, read: Callable[[PipelineState], T]) -> T:
    from etl.operations.looking import Onlooker
    from etl.operations.states import read_at

    seam = Onlooker()
    return read_at(session_of(context).workspace().wired(name, seam), seam, batch, read)


def say_tables(found: PipelineState, tables: list[StoredTableFacts], *, as_json: bool) -> None:
    """Print what is remembered, a line for each table."""
    if as_json:
        say_json(_tables_to_json(found, tables))
        return
    watermark = f", watermark {moment(found.watermark)} UTC" if found.watermark else ""
    say(f"{found.pipeline}  after batch {found.batch_id}{watermark}")
    if not tables:
        say("nothing is remembered: no transform has state")
        return
    lines = [
        (
            *(each.transform, each.name, count(each.facts.rows), size(each.facts.size_bytes)),
            *(count(found.reader(each.transform).batch_id), _moment_of(each.facts.next_us)),
        )
        for each in tables
    ]
    header = ("transform", "table", "rows (at most)", "bytes", "changed by batch", "next expiry (UTC)")
    say(table(header, lines, ("rows (at most)", "bytes", "changed by batch")))


def _moment_of(at_us: int | None) -> str:
    from etl.watermark import to_text

    return moment(to_text(at_us))


def _tables_to_json(found: PipelineState, tables: list[StoredTableFacts]) -> dict[str, Any]:
    import polars as pl

    from etl.schema import from_polars
    from etl.watermark import to_text

    listed = [
        {
            "transform": each.transform,
            "table": each.table,
            "name": each.name,
            "rows": each.facts.rows,
            "bytes": each.facts.size_bytes,
            "changed_by": found.reader(each.transform).batch_id,
            "next_expiry": to_text(each.facts.next_us),
            "columns": from_polars(pl.Schema(each.facts.layout.columns)),
        }
        for each in tables
    ]
    return {"pipeline": found.pipeline, "batch_id": found.batch_id, "watermark": found.watermark, "tables": listed}


def say_rows(stored: StoredTableFacts, frame: pl.DataFrame, batch_id: int) -> None:
    """Print rows of a table, our own columns last, and what those are."""
    from etl.operations.states import columns_of_ours

    explained = columns_of_ours(stored.facts.layout.columns)
    known = [name for name in frame.columns if name not in explained]
    say(f"{escaped(stored.name)}  after batch {batch_id}: at most {counted(stored.facts.rows, 'row')}")
    say_frame(frame.select(*known, *explained), "table")
    for name, what in explained.items():
        say(f"  {name}: {what}")


@commands.command()
def query(
    context: typer.Context,
    pipeline: PipelineName,
    sql: Annotated[str, typer.Argument(help='One SELECT: "SELECT * FROM group_by"')],
    *,
    batch: Batch = None,
    format_: FormatOption = Format.TABLE,
    output: Output = None,
    as_json: AsJson = False,
) -> None:
    """Query what is remembered with SQL; the list of `etl state show` names the tables.

    Example: etl state query orders "SELECT COUNT(*) AS open FROM group_by"
    """
    chosen = chosen_format(format_, output, as_json=as_json)
    put_frame(_read(context, pipeline, batch, lambda found: found.query(sql)), chosen, output)
