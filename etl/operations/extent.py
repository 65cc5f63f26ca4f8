"""How large the tables of a pipeline are: version, files, rows and bytes, from their logs alone."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from etl.delta_types import from_delta_fields
from etl.errors import SinkError
from etl.schema import format_type
from etl.sinks.parquet_commits import Commits
from etl.storage import object_store_options, open_storage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from etl.config.specification import PipelineSpec
    from etl.project import Project
    from etl.seam import Seam
    from etl.sinks.parquet_commits import Standing

_SMALL_BYTES = 32_000_000


@dataclass(frozen=True, slots=True)
class Extent:
    """A table in its newest version. ``role`` is its block in the pipeline's file.

    ``version`` is None where it does not exist yet. ``rows`` is None where not every file tells. ``small_files`` are
    those below 32 MB: many of them are what compaction is for.
    """

    role: str
    table: str
    version: int | None = None
    files: int = 0
    rows: int | None = None
    size_bytes: int = 0
    small_files: int = 0
    columns: Mapping[str, str] | None = None
    partitioned_by: tuple[str, ...] = ()


def extents_of(spec: PipelineSpec, project: Project, seam: Seam) -> list[Extent]:
    """Return the tables that a pipeline writes. Raises SinkError for one that cannot be read."""
    delivered = {sink.location for sink in spec.sinks if not sink.is_table}
    places = {place: named for place, named in spec.tables.items() if place not in delivered}
    return [_extent(".".join(map(str, place)), *named, project, seam) for place, named in places.items()]


def _extent(role: str, name: str, url: str, project: Project, seam: Seam) -> Extent:
    import pyarrow as pa
    from deltalake import DeltaTable
    from deltalake.exceptions import DeltaError

    storage = open_storage(url, seam, project.storage_options)
    if not storage.list("_delta_log"):
        standing = Commits(storage, seam).standing()
        return Extent(role, name) if standing is None else _plain(role, name, standing)
    options = object_store_options(url.partition("://")[0], project.options_for(url))
    try:
        table = DeltaTable(url, storage_options=options or None)
        actions = pa.table(table.get_add_actions(flatten=True))
    except (DeltaError, ValueError, OSError) as exc:
        raise SinkError(f"cannot be read: {exc}", where=name) from exc
    sizes = [int(each) for each in actions.column("size_bytes").to_pylist()]
    rows = actions.column("num_records").to_pylist() if "num_records" in actions.column_names else [None]
    return Extent(
        role,
        name,
        table.version(),
        len(sizes),
        None if sizes and None in rows else sum(int(each or 0) for each in rows),
        sum(sizes),
        sum(1 for each in sizes if each < _SMALL_BYTES),
        {field["name"]: _type_text(field) for field in json.loads(table.schema().to_json())["fields"]},
        tuple(table.metadata().partition_columns),
    )


def _type_text(field: dict[str, Any]) -> str:
    """Return the type of a field of Delta's as pipeline files write it; as Delta does, where they cannot."""
    try:
        return format_type(from_delta_fields([field])[field["name"]])
    except SinkError:
        return json.dumps(field["type"])


def _plain(role: str, name: str, standing: Standing) -> Extent:
    files = [file for batch in standing.live for file in batch.files]
    return Extent(
        role,
        name,
        standing.version,
        len(files),
        sum(file.rows for file in files),
        sum(file.size_bytes for file in files),
        sum(1 for file in files if file.size_bytes < _SMALL_BYTES),
        {column: format_type(tree) for column, tree in standing.schema.items()},
        standing.live[0].partition_by if standing.live else (),
    )
