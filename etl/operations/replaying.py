"""Rows of a quarantine on their way back: each to the source that it came from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from etl.errors import ConfigError
from etl.rejects import SOURCE
from etl.sources.again import again_units

if TYPE_CHECKING:
    import polars as pl

    from etl.model import Json
    from etl.pipeline import Pipeline

NOT_KEPT_HINT = "read their files again, or give the rows up: etl quarantine discard"


def units_again(pipeline: Pipeline, rows: pl.DataFrame) -> dict[str, dict[str, Json]]:
    """Return the units that read rows of the quarantine again, by source; a row that names none is the main one's.

    Raises ConfigError for rows of a source that is gone, SourceError as ``plan_again`` of a source does.
    """
    by_source: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows.to_dicts():
        by_source.setdefault(row.get(SOURCE) or pipeline.flow.source_name, []).append(row)
    units = {}
    for name, found in by_source.items():
        if name not in pipeline.sources:
            raise ConfigError(
                f"{len(found):,} of the rows are of source '{name}', which the pipeline no longer has",
                where="" if pipeline.flow.quarantine is None else pipeline.flow.quarantine.sink.table,
                hint=NOT_KEPT_HINT,
            )
        plan_again: Callable[[Sequence[Mapping[str, Any]]], dict[str, Json]]
        plan_again = getattr(pipeline.sources[name], "plan_again", again_units)
        units[name] = plan_again(found)
    return units
