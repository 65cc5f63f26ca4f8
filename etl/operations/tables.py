"""The tables of a project: found by name, read lazily, queried with SQL."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from etl.config.faults import nearest
from etl.errors import ConfigError, SinkError
from etl.project import scheme_of
from etl.sinks.parquet_commits import FOLDER as COMMITS
from etl.sinks.parquet_commits import Commits
from etl.sinks.parquet_reading import scan_parquet_table
from etl.storage import object_store_options, open_storage

if TYPE_CHECKING:
    import polars as pl
    from sqlglot import exp

    from etl.project import Project
    from etl.seam import Seam
    from etl.storage import Storage

_HINT = 'name tables as they stand in the lake: etl query "SELECT * FROM silver.orders"'


def table_names(project: Project, seam: Seam) -> list[str]:
    """Return the name of every table in the lake, sorted."""
    lake = open_storage(project.lake, seam, project.storage_options)
    schemas = [name for name in lake.list() if not name.startswith((".", "_"))]
    found = []
    for schema in schemas:
        if lake.is_local and not Path(project.lake, schema).is_dir():
            continue
        found += [f"{schema}.{name}" for name in lake.list(schema) if is_table(lake.at(f"{schema}/{name}"))]
    return found


def is_table(storage: Storage) -> bool:
    """Tell whether a folder is a Delta table, or a plain Parquet table of ours."""
    return bool(storage.list("_delta_log")) or bool(storage.list(COMMITS))


def scan_table(project: Project, name: str, seam: Seam, version: int | None = None) -> pl.LazyFrame:
    """Return the rows of a table of the lake. Raises as ``scan_url``, and ConfigError for what is no name."""
    return scan_url(project, project.table_url(name), seam, version, name)


def scan_url(
    project: Project, url: str, seam: Seam, version: int | None = None, name: str | None = None
) -> pl.LazyFrame:
    """Return the rows of the Delta or plain Parquet table at ``url``, called ``name`` in errors.

    Raises ConfigError for a table that does not exist, SinkError for one that cannot be read, TableStateError.
    """
    name = name or url
    storage = open_storage(url, seam, project.storage_options)
    options = object_store_options(scheme_of(url), project.options_for(url))
    if storage.list("_delta_log"):
        return _scan_delta(url, options, name, version)
    rows = scan_parquet_table(Commits(storage, seam), options, name, version)
    if rows is None:
        raise ConfigError(f"unknown table '{name}'{nearest(name, table_names(project, seam))}")
    return rows


def scan_own(project: Project, url: str, seam: Seam, name: str, pipeline: str) -> pl.LazyFrame:
    """Return the rows of a table that a pipeline may have written: of a plain one, which several share, its own alone.

    Raises as ``scan_url``.
    """
    commits = Commits(open_storage(url, seam, project.storage_options), seam)
    options = object_store_options(scheme_of(url), project.options_for(url))
    own = scan_parquet_table(commits, options, name, pipeline=pipeline)
    return scan_url(project, url, seam, name=name) if own is None else own


def _scan_delta(url: str, options: dict[str, str], name: str, version: int | None) -> pl.LazyFrame:
    import polars as pl
    from deltalake import DeltaTable
    from deltalake.exceptions import DeltaError

    try:
        table = DeltaTable(url, version=version, storage_options=options or None)
    except (DeltaError, ValueError, OSError) as exc:
        what = "cannot be read" if version is None else f"has no version {version} that can be read"
        raise SinkError(f"{what}: {exc}", where=name) from exc
    return pl.scan_delta(table, storage_options=options or None)


def query(project: Project, sql: str, seam: Seam, version: int | None = None) -> pl.DataFrame:
    """Return the rows of a query over tables of the lake; nothing but these can be reached.

    ``version`` is that of the one table that the query names. Raises ConfigError for what is no such query.
    """
    names = tables_in(sql)
    if version is not None and len(names) != 1:
        raise ConfigError(f"--version needs a query of one table, this one names {len(names)}")
    return evaluated(sql, {name: scan_table(project, name, seam, version) for name in names})


def evaluated(sql: str, tables: Mapping[str, pl.LazyFrame]) -> pl.DataFrame:
    """Return the rows of a query over tables by name. Raises ConfigError where it fails."""
    import polars as pl
    from polars.exceptions import PolarsError

    try:
        return pl.SQLContext(tables).execute(sql, eager=True)
    except PolarsError as exc:
        raise ConfigError(f"the query failed: {_first_line(exc)}") from exc


def tables_in(sql: str, hint: str = _HINT) -> list[str]:
    """Return the tables that a query names, sorted. Raises ConfigError for anything but one SELECT over tables.

    ``hint`` says how tables are named.
    """
    import sqlglot
    from sqlglot import exp
    from sqlglot.errors import SqlglotError

    try:
        statements = sqlglot.parse(sql, error_level=sqlglot.ErrorLevel.RAISE)
    except SqlglotError as exc:
        raise ConfigError(f"not SQL: {_first_line(exc)}") from exc
    if len(statements) != 1 or not isinstance(statements[0], exp.Query):
        raise ConfigError("only one SELECT is allowed; tables are written by pipelines alone", hint=hint)
    local = {cte.alias for cte in statements[0].find_all(exp.CTE)}
    tables = [_name(table, hint) for table in statements[0].find_all(exp.Table)]
    return sorted(set(tables) - local)


def _name(table: exp.Table, hint: str) -> str:
    """Return ``schema.table`` of a reference, a bare name as it is. Raises ConfigError for functions."""
    from sqlglot import exp

    if not isinstance(table.this, exp.Identifier):
        raise ConfigError(f"{table.sql()} is no table; only tables can be queried, by name", hint=hint)
    return ".".join(part.name for part in table.parts)


def _first_line(exc: Exception) -> str:
    return str(exc).splitlines()[0] if str(exc) else type(exc).__name__
