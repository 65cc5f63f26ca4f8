"""The commands that look at one Delta table, and keep it quick."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from etl.cli.names import AsJson
from etl.cli.session import app, session_of
from etl.cli.text import count, counted, escaped, moment, say, say_json, size, table

if TYPE_CHECKING:
    from etl.operations.table_info import TableInfo, TableVersion
    from etl.operations.table_upkeep import Compaction, Vacuum

commands = typer.Typer(no_args_is_help=True, rich_markup_mode=None)

TableName = Annotated[str, typer.Argument(metavar="TABLE", help="A table's name (silver.orders) or its folder.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")]

_NAMED = 20


@commands.callback()
def one_table() -> None:
    """Look at one Delta table, and keep it quick: few large files, a short log, nothing that nobody needs.

    Example: etl table info silver.orders
    """


app.add_typer(commands, name="table")


@commands.command()
def info(context: typer.Context, table_name: TableName, as_json: AsJson = False) -> None:
    """Show what a table is: rows, files, log, settings, the newest batch of each pipeline.

    Example: etl table info silver.orders
    """
    from etl.operations.looking import Onlooker
    from etl.operations.table_info import info as look
    from etl.operations.table_info import info_to_json

    found = look(session_of(context).workspace(), table_name, Onlooker())
    if as_json:
        say_json(info_to_json(found))
    else:
        _say_info(found)


def _say_info(found: TableInfo) -> None:
    health = found.health
    features = f"  {', '.join(found.features)}" if found.features else ""
    lines = {
        "written by": found.writer or "no pipeline of this project",
        "version": f"{health.version:,}",
        "rows": "not known: a writer did not count" if health.rows is None else count(health.rows),
        "columns": count(found.columns),
        "files": f"{count(health.files)} of {size(health.size_bytes)} in all",
        "small files": f"{count(health.small_files)} ({health.small_share:.0%} could be larger)",
        "partitions": f"{count(health.partitions)} by {', '.join(found.partition_by)}"
        if found.partition_by
        else "none",
        "log": f"{counted(health.log_entries, 'version')}, {health.entries_to_read:,} since the newest summary",
        "a scan opens": f"{count(health.scan_cost)} files; {count(health.least_cost)} would do",
        "protocol": f"reader {found.protocol[0]}, writer {found.protocol[1]}{features}",
    }
    say(f"{escaped(found.table)}  {found.table_id}")
    for name, text in lines.items():
        say(f"  {name:<13} {escaped(text)}")
    for name, value in sorted(found.properties.items()):
        say(f"  {escaped(name)} = {escaped(value)}")
    for name, batch in sorted(found.batches.items()):
        say(f"  newest batch of {escaped(name)}: {batch}")
    for name, version in (found.readers or {}).items():
        say(f"  read by {escaped(name)} up to version {version:,}")


@commands.command()
def history(
    context: typer.Context,
    table_name: TableName,
    limit: Annotated[int, typer.Option(min=1, help="How many versions, the newest first.")] = 20,
    as_json: AsJson = False,
) -> None:
    """Show the versions of a table: who made each, and what came and went.

    Example: etl table history silver.orders --limit 5
    """
    from etl.operations.looking import Onlooker
    from etl.operations.table_info import history as look

    found = look(session_of(context).workspace(), table_name, Onlooker(), limit)
    if as_json:
        say_json([asdict(version) for version in found])
        return
    header = ("version", "at", "operation", "pipeline", "batch", "rows", "files +", "files -", "data")
    rows = [_version_line(version) for version in found]
    say(table(header, rows, ("version", "batch", "rows", "files +", "files -")))


def _version_line(version: TableVersion) -> tuple[str, ...]:
    return (
        str(version.version),
        moment(version.at),
        version.operation,
        version.pipeline or version.engine,
        "" if version.batch_id is None else str(version.batch_id),
        count(version.rows),
        str(version.files_added),
        str(version.files_removed),
        "changed" if version.is_data_change else "as before",
    )


@commands.command()
def compact(context: typer.Context, table_name: TableName, *, dry_run: DryRun = False, as_json: AsJson = False) -> None:
    """Make few large files of the small ones of a table; its rows stay as they are.

    Beside running pipelines too. The old files stay until a vacuum, for queries and earlier versions.

    Example: etl table compact silver.orders --dry-run
    """
    from etl.operations.looking import Onlooker
    from etl.operations.table_upkeep import compact as make
    from etl.seam import Seam

    seam = Onlooker() if dry_run else Seam()
    done = make(session_of(context).workspace(), table_name, seam, is_dry=dry_run)
    if as_json:
        say_json(asdict(done))
    else:
        _say_compaction(done, is_dry=dry_run)


def _say_compaction(done: Compaction, *, is_dry: bool) -> None:
    name = escaped(done.table)
    if not done.files and not done.passed_over:
        say(f"{name}: no small files that belong together")
    elif is_dry:
        say(f"{name}: would make about {counted(done.written, 'file')} of {done.files:,} ({size(done.size_bytes)})")
    elif done.files:
        sizes = f"{size(done.size_bytes)} are {size(done.written_bytes)}"
        say(f"{name}: {counted(done.files, 'file')} became {done.written:,}; {sizes}, {done.rows:,} rows")
    if done.passed_over:
        say(f"{name}: others kept changing {counted(done.passed_over, 'group')} of files; run it again later")


@commands.command()
def vacuum(
    context: typer.Context,
    table_name: TableName,
    *,
    retain: Annotated[
        str | None, typer.Option(help="Keep files that a version of the last … has: 7d, 36h.", show_default=False)
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Allow less than a day: nobody else is at work.")] = False,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Delete the files in a table's folder that nobody needs any more: earlier versions are gone with them.

    Kept are those of every version of the retention (of the pipeline's `maintain`, of the table, else 7 days), of
    batches under way, and those that pipelines which read the table have still to come to.

    Example: etl table vacuum silver.orders --dry-run
    """
    from etl.operations.looking import Onlooker
    from etl.operations.table_upkeep import VacuumOrder
    from etl.operations.table_upkeep import vacuum as clean
    from etl.seam import Seam

    seam = Onlooker() if dry_run else Seam()
    order = VacuumOrder(retain, is_dry=dry_run, is_forced=force)
    done = clean(session_of(context).workspace(), table_name, seam, order)
    if as_json:
        say_json(asdict(done))
    else:
        _say_vacuum(done, is_dry=dry_run)


def _say_vacuum(done: Vacuum, *, is_dry: bool) -> None:
    would = "would delete" if is_dry else "deleted"
    name = escaped(done.table)
    if is_dry:
        for path in done.files[:_NAMED]:
            say(f"  {escaped(path)}")
        if len(done.files) > _NAMED:
            say(f"  … and {len(done.files) - _NAMED:,} more: --json has them all")
    say(f"{name}: {would} {counted(len(done.files), 'file')} ({size(done.size_bytes)})")
    if done.entries:
        say(f"{name}: {would} {counted(len(done.entries), 'log file')}")
    for reader, version in done.readers.items():
        say(f"  kept for {escaped(reader)}, which has read version {version:,}: what came and went since")
