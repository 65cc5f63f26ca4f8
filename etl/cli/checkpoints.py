"""Commands about a pipeline's checkpoint: show it, copy it, make it again where it is lost."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from etl.cli.names import AsJson, PipelineName
from etl.cli.session import app, session_of
from etl.cli.text import count, counted, escaped, moment, say, say_json, size, table

if TYPE_CHECKING:
    from etl.operations.copying import Copied

commands = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


@commands.callback()
def checkpoint() -> None:
    """Show a checkpoint, copy it, or make it again from the tables where it is lost.

    Example: etl checkpoint show orders
    """


app.add_typer(commands, name="checkpoint")


@commands.command()
def show(context: typer.Context, pipeline: PipelineName, *, as_json: AsJson = False) -> None:
    """Show where a checkpoint lies, what it holds and who ran last. Changes nothing.

    Example: etl checkpoint show orders --json
    """
    from etl.operations.copying import facts_of
    from etl.operations.looking import Onlooker

    found = facts_of(session_of(context).workspace(), pipeline, Onlooker())
    if as_json:
        say_json(asdict(found))
        return
    lines = [
        ("lies at", escaped(found.url)),
        ("identity", found.identity),
        ("generation", f"{found.generation} ({found.kind}), begun {moment(found.created_at)}"),
        ("last runner", escaped(found.runner)),
        ("batches", f"{count(found.committed + 1)} committed" + (", one open" if found.is_open else "")),
        ("backfill", escaped(found.backfill) or "none open"),
        ("size", f"{size(found.size_bytes)} in {counted(found.files, 'file')}"),
    ]
    say(table(("", pipeline), lines))


@commands.command()
def rebuild(
    context: typer.Context,
    pipeline: PipelineName,
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be made.")] = False,
    as_json: AsJson = False,
) -> None:
    """Make a lost checkpoint again from what the tables' own logs tell: the next run goes on behind their newest batch.

    What no table tells is refused before anything is written: state of transforms, logs and how they were rotated.

    Example: etl checkpoint rebuild orders --dry-run
    """
    from etl.operations.looking import Onlooker
    from etl.operations.rebuilding import look_at_rebuild
    from etl.operations.rebuilding import rebuild as make_again
    from etl.seam import Seam

    workspace = session_of(context).workspace()
    done = look_at_rebuild(workspace, pipeline, Onlooker()) if dry_run else make_again(workspace, pipeline, Seam())
    if as_json:
        say_json(asdict(done))
        return
    made = "would make" if dry_run else "made again"
    open_ = ", and one that the next run finishes" if done.is_open else ""
    say(f"{pipeline}: {made}: {counted(done.batches, 'batch')}{open_}")
    for name, version in done.tables.items():
        say(f"  {name}: version {version}")
    if not dry_run:
        say(f"now: etl run {pipeline}")


@commands.command(name="export")
def export_copy(
    context: typer.Context,
    pipeline: PipelineName,
    to: Annotated[str, typer.Argument(metavar="FOLDER", help="An empty folder, or the URL of one.")],
    *,
    as_json: AsJson = False,
) -> None:
    """Copy a checkpoint into another folder, between two batches.

    Example: etl checkpoint export orders backup/orders
    """
    from etl.operations.copying import export
    from etl.seam import Seam

    _say_copied(export(session_of(context).workspace(), pipeline, to, Seam()), "copied to", as_json=as_json)


@commands.command(name="import")
def import_copy(
    context: typer.Context,
    pipeline: PipelineName,
    of: Annotated[str, typer.Argument(metavar="FOLDER", help="What etl checkpoint export made.")],
    *,
    as_json: AsJson = False,
) -> None:
    """Put a copy in the place of a checkpoint that was lost; refused where the tables went on since it was made.

    Example: etl checkpoint import orders backup/orders
    """
    from etl.operations.copying import bring_back
    from etl.seam import Seam

    done = bring_back(session_of(context).workspace(), pipeline, of, Seam())
    _say_copied(done, "put back at", as_json=as_json)


def _say_copied(done: Copied, what: str, *, as_json: bool) -> None:
    if as_json:
        say_json(asdict(done))
        return
    upto = f"up to batch {done.committed}" if done.committed >= 0 else "without a batch"
    files = counted(done.files, "file")
    say(f"{done.pipeline}: {what} {escaped(done.url)}, {upto}: {files}, {size(done.size_bytes)}")
