"""Commands about tables: where rows came from, and what they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from etl.cli.frames import Format, FormatOption, Output, chosen_format, put_frame
from etl.cli.names import AsJson
from etl.cli.session import app, session_of
from etl.cli.text import count, counted, escaped, moment, say, say_json, size, table

if TYPE_CHECKING:
    from etl.operations.tracing import FilePassage, RowOrigin, VersionOrigin


_PLAIN_FATES = {"read", "written"}


@app.command()
def trace(
    context: typer.Context,
    table_name: Annotated[str, typer.Argument(metavar="TABLE", help="As in the pipeline: silver.orders")],
    *,
    version: Annotated[int | None, typer.Option(min=0, help="What made this version; without it, the newest.")] = None,
    file: Annotated[str | None, typer.Option(help="Which versions hold this file.")] = None,
    row: Annotated[str | None, typer.Option(metavar="COLUMN=VALUE", help="Where these rows came from.")] = None,
    explain: Annotated[str | None, typer.Option(metavar="FILE", help="Why this file was read, or was not.")] = None,
    as_json: AsJson = False,
) -> None:
    """Follow rows in both directions: from a version to its files, from a file to its versions.

    Example: etl trace silver.orders --explain landing/orders/2026-11-01.ndjson
    """
    if sum(each is not None for each in (version, file, row, explain)) > 1:
        raise typer.BadParameter("only one of --version, --file, --row, --explain")

    from etl.operations.tracing import Trace

    found = Trace(session_of(context).workspace(), table_name)
    if explain is not None:
        _say_reason(found.explain(explain), as_json=as_json)
    elif file is not None:
        _say_passages(found.file(file), as_json=as_json)
    elif row is not None:
        _say_rows(found.rows(row), as_json=as_json)
    else:
        _say_version(found.version(version), as_json=as_json)


def _say_reason(told: Mapping[str, Any], *, as_json: bool) -> None:
    if as_json:
        say_json(told)
        return
    say(f"{escaped(str(told['path']))}: {'read' if told['is_read'] else 'not read'}\n  {escaped(str(told['reason']))}")
    for each in told.get("generations", ()):
        say(f"  {escaped(_generation(each))}")
    for each in told.get("lost", ()):
        bound = "" if each["is_exact"] else "at least "
        what = f"{bound}{count(each['bytes'])} bytes after byte {count(each['offset'])}"
        say(f"  lost of generation {each['generation']}: {what}, {escaped(each['reason'])}")


def _generation(told: Mapping[str, Any]) -> str:
    """Return what is known of one log that was written at a path."""
    where = "its name is gone" if told["now_at"] is None else f"now at {told['now_at']}"
    identity = f"device {told['device']} inode {told['inode']} fingerprint {told['fingerprint'] or 'none yet'}"
    offset = f"read up to byte {count(told['offset'])} of {count(told['size_bytes'])}"
    return f"generation {told['generation']}: {where}, {offset}, {identity}"


def _say_passages(passages: list[FilePassage], *, as_json: bool) -> None:
    if as_json:
        say_json([asdict(passage) for passage in passages])
        return
    say(escaped(passages[0].path))
    for passage in passages:
        where = f"no version of {passage.table}" if passage.is_committed else "not committed yet"
        if passage.version is not None:
            where = f"{passage.table} version {passage.version}"
        if passage.same_as is not None:
            say(f"  batch {passage.batch_id}: not read, it repeats {escaped(passage.same_as)}")
            continue
        rows = f"{count(passage.rows_read)} rows read, {count(passage.rows_in_table)} in the table"
        what = "rejected rows again, " if passage.is_again else ""
        say(f"  batch {passage.batch_id}: {what}{where}, {rows}")
        fates = [f"{count(number)} {fate}" for fate, number in passage.fates.items() if number]
        if any(number and fate not in _PLAIN_FATES for fate, number in passage.fates.items()):
            say(f"    {', '.join(fates)}")
        if passage.open_rows:
            say(f"    {counted(passage.open_rows, 'row')} wait in the quarantine")


def _say_rows(origins: list[RowOrigin], *, as_json: bool) -> None:
    if as_json:
        say_json([asdict(origin) for origin in origins])
    elif not origins:
        say("no such row")
    else:
        lines = [
            (origin.file or "?", count(origin.offset), count(origin.batch_id), count(origin.version))
            for origin in origins
        ]
        say(table(("file", "offset", "batch", "version"), lines, ("offset", "batch", "version")))


def _say_version(origin: VersionOrigin, *, as_json: bool) -> None:
    if as_json:
        say_json(asdict(origin))
        return
    say(f"{origin.table} version {origin.version}: {escaped(origin.operation)}")
    if origin.batch_id is None:
        say("  not by a pipeline of this project")
        return
    say(f"  {origin.pipeline}  batch {origin.batch_id}  {moment(origin.committed_at)} UTC")
    fates = [f"{count(rows)} {fate}" for fate, rows in origin.rows.items() if rows]
    say(f"  {counted(len(origin.files), 'file')}; rows: {', '.join(fates) or 'none'}")
    lines = [
        (file.path, size(file.size_bytes), "repeat" if file.same_as else count(file.rows)) for file in origin.files
    ]
    if lines:
        say(table(("file", "bytes", "rows read"), lines, ("bytes", "rows read")))


@app.command()
def query(
    context: typer.Context,
    sql: Annotated[str, typer.Argument(help='One SELECT: "SELECT * FROM silver.orders"')],
    format_: FormatOption = Format.TABLE,
    version: Annotated[int | None, typer.Option(min=0, help="The version of the one table that is read.")] = None,
    output: Output = None,
    as_json: AsJson = False,
) -> None:
    """Query tables of the lake by name, with SQL.

    Example: etl query "SELECT COUNT(*) AS orders FROM silver.orders" --format csv
    """
    chosen = chosen_format(format_, output, as_json=as_json)

    from etl.operations.looking import Onlooker
    from etl.operations.tables import query as rows_of

    put_frame(rows_of(session_of(context).workspace().project, sql, Onlooker(), version), chosen, output)
