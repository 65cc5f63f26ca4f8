"""The columns of a pipeline, found before any row flows: every transform and the checks tried on empty frames."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from etl.chains import MAIN, keeps_source_row, keys_after, keys_before, steps_of_chain
from etl.errors import ConfigError
from etl.flow import Flow
from etl.model import SOURCE_ROW, Schema
from etl.transforms.source_rows import source_row_type

if TYPE_CHECKING:
    import polars as pl

    from etl.transforms.contract import Stateful, Transform


class FlowColumns:
    """The columns before and after each transform, for given schemas of the sources (name to schema)."""

    def __init__(self, flow: Flow, schemas: Mapping[str, Schema]) -> None:
        self._flow = flow
        self._schemas = schemas
        self._inputs: dict[int, tuple[pl.Schema, ...]] = {}
        self.keys: list[str] | None = None
        """By what the rows of a changing result are found, once ``result`` was asked for; None where rows stay."""

    def result(self) -> pl.Schema:
        """Return the columns that reach the sink.

        Raises ConfigError with the transform's place in its list.
        """
        import polars as pl

        found = self._after(MAIN)
        if self._flow.expectations is not None:
            return self._flow.expectations.output_schema(found)
        return pl.Schema({name: kind for name, kind in found.items() if name != SOURCE_ROW})

    def inputs_of(self, step: Stateful | Transform) -> tuple[pl.Schema, ...]:
        """Return the columns that a transform is given, its own input first. Raises ConfigError as ``result``."""
        if not self._inputs:
            self.result()
        return self._inputs[id(step)]

    def _after(self, chain: str) -> pl.Schema:
        source = chain or self._flow.source_name
        given = source_frame(self._flow, self._schemas[source], source)
        keys = keys_before(self._flow, chain)
        for index, step in enumerate(steps_of_chain(self._flow, chain)):
            others = tuple(self._after(name) for name in getattr(step, "inputs", ()))
            self._inputs[id(step)] = (given, *others)
            try:
                if keys is not None and hasattr(step, "take_keys"):
                    step.take_keys(keys)
                found = self._through(step, given, others)
                given, keys = found, keys_after(step, given, found, keys)
            except ConfigError as exc:
                raise ConfigError(exc.message, where=exc.where or self._place(chain, index), hint=exc.hint) from exc
        self.keys = keys
        return given

    def _place(self, chain: str, index: int) -> str:
        place_of = next((each.place_of for each in self._flow.branches if each.name == chain), self._flow.place_of)
        return place_of(index)

    def _through(self, step: Any, given: pl.Schema, others: tuple[pl.Schema, ...]) -> pl.Schema:  # noqa: ANN401  a transform
        import polars as pl

        found: pl.Schema = step.output_schema(given, *others)
        if not getattr(step, "is_stateful", False):
            return found
        own = {name: kind for name, kind in found.items() if not name.startswith("_")}
        row = {SOURCE_ROW: pl.Struct(own)} if keeps_source_row(self._flow) else {}
        added = {**_of_batch(self._flow), **row}
        return pl.Schema({**found, **{name: kind for name, kind in added.items() if name not in found}})


def _types() -> dict[str, pl.DataType]:
    import polars as pl

    return {
        "_source_file": pl.String(),
        "_source_offset": pl.Int64(),
        "_source_modified_at": pl.Datetime("us", "UTC"),
        "_batch_id": pl.Int64(),
        "_ingested_at": pl.Datetime("us", "UTC"),
    }


def _of_batch(flow: Flow) -> dict[str, pl.DataType]:
    return {
        name: kind for name, kind in _types().items() if name in flow.system and name in ("_batch_id", "_ingested_at")
    }


def source_frame(flow: Flow, schema: Schema, source: str = "") -> pl.Schema:
    """Return the columns that transforms are given when a source has ``schema``."""
    import polars as pl

    from etl.schema import to_polars

    types = _types()
    given = dict(to_polars({name: tree for name, tree in schema.items() if tree != "null"}))
    kind = source_row_type(pl.Schema(given), source if flow.has_several else "")
    row = {SOURCE_ROW: kind} if keeps_source_row(flow) else {}
    return pl.Schema({**given, **{name: types[name] for name in flow.system}, **row})


def check_flow(flow: Flow, schemas: Mapping[str, Schema]) -> pl.Schema:
    """Build every transform on empty frames; return the columns that reach the sink. Raises ConfigError."""
    return FlowColumns(flow, schemas).result()
