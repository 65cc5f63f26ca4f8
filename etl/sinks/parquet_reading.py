"""Reading a plain Parquet table from its records: whole batches alone, each file as it was written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from etl.delta_types import stored
from etl.errors import SinkError
from etl.schema import to_polars
from etl.sinks.parquet_commits import Commits

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    import polars as pl

    from etl.model import Schema, StagedFile
    from etl.sinks.parquet_commits import Standing
    from etl.storage import Storage


def scan_parquet_table(
    commits: Commits,
    storage_options: Mapping[str, str],
    name: str,
    version: int | None = None,
    pipeline: str | None = None,
) -> pl.LazyFrame | None:
    """Return the rows of a table, None where there is none; those of one ``pipeline``, None for all.

    Raises SinkError for a version that is not there.
    """
    import polars as pl

    standing = commits.standing()
    if standing is None:
        return None
    if version is not None:
        standing = _at(standing, version, name)
    standing = standing if pipeline is None else standing.of_pipeline(pipeline)
    types = to_polars(stored(standing.schema))
    parts = list(_parts(standing, commits.storage, dict(storage_options), types))
    return pl.concat(parts) if parts else pl.LazyFrame(schema=types)


def _at(standing: Standing, version: int, name: str) -> Standing:
    if not 0 <= version <= standing.version:
        raise SinkError(f"has no version {version}; the newest is {standing.version}", where=name)
    newer = max((each.version for each in standing.every.values() if each.replaces), default=-1)
    if version < newer:
        raise SinkError(
            f"version {version} can no longer be read: with version {newer}, a refresh or a rewind took its place",
            where=name,
        )
    return standing.at(version)


def _parts(standing: Standing, storage: Storage, options: dict[str, str], types: pl.Schema) -> Iterator[pl.LazyFrame]:
    """Yield the rows of the files that were written with the same types, and lie in folders of the same kind."""
    groups: dict[str, tuple[Schema, tuple[str, ...], list[StagedFile]]] = {}
    for batch in standing.live:
        key = repr([(name, tree) for name, tree in batch.schema.items() if standing.schema[name] != tree])
        _, _, files = groups.setdefault(f"{key} {batch.partition_by}", (batch.schema, batch.partition_by, []))
        files += batch.files
    for schema, folders, files in groups.values():
        if files:
            written = {**standing.schema, **schema}
            yield from _scanned(files, to_polars(stored(written)), folders, (storage.url, options, types))


def _scanned(
    files: list[StagedFile], written: pl.Schema, folders: tuple[str, ...], target: tuple[str, dict[str, str], pl.Schema]
) -> Iterator[pl.LazyFrame]:
    """Yield the rows of files with the types ``written``, as those of the whole table.

    Polars looks for ``column=value`` in the whole path: where the table's own is of that form, the values of each
    folder are given in words.
    """
    import polars as pl

    url, options, types = target
    for values, group in _by_folder(files) if folders and "=" in url else ((None, files),):
        in_files = {name: dtype for name, dtype in written.items() if name not in folders}
        hive = {name: written[name] for name in folders} if values is None else {}
        rows = pl.scan_parquet(
            [f"{url}/{file.path}" for file in group],
            glob=False,
            schema=in_files | hive,
            hive_partitioning=bool(hive),
            hive_schema=hive or None,
            missing_columns="insert",
            storage_options=options or None,
        )
        if values is not None:
            rows = rows.with_columns(_literal(values[name], written[name]).alias(name) for name in folders)
        yield rows.select(pl.col(name).cast(dtype, strict=True) for name, dtype in types.items())


def _by_folder(files: Iterable[StagedFile]) -> list[tuple[dict[str, str | None], list[StagedFile]]]:
    groups: dict[str, tuple[dict[str, str | None], list[StagedFile]]] = {}
    for file in files:
        groups.setdefault(repr(file.partition_values), (dict(file.partition_values), []))[1].append(file)
    return list(groups.values())


def _literal(text: str | None, dtype: pl.DataType) -> Any:  # noqa: ANN401  an expression of Polars
    """Return the value that a folder's name spells."""
    import polars as pl

    if text is None or dtype == pl.String:
        return pl.lit(text, dtype)
    if dtype == pl.Boolean:
        return pl.lit(text == "true")
    return pl.lit(text).str.to_date("%Y-%m-%d") if dtype == pl.Date else pl.lit(text).cast(dtype)
