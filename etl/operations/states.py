"""What the stateful transforms of a pipeline remember after a batch: listed, read, queried. Without the lease."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import TYPE_CHECKING, TypeVar

from etl.checkpoint.folder import find_checkpoint
from etl.config.faults import nearest
from etl.errors import ConfigError, StateError
from etl.operations.tables import evaluated, tables_in
from etl.state.reading import StateReader
from etl.states import States

if TYPE_CHECKING:
    from collections.abc import Iterator

    import polars as pl

    from etl.checkpoint.folder import Checkpoint
    from etl.model import Manifest
    from etl.pipeline import Pipeline
    from etl.seam import Seam
    from etl.state.reading import TableFacts

T = TypeVar("T")

COLUMNS_OF_OURS = {
    "_rows": "how many rows the group was made of",
    "_etl_expires": "the row is forgotten when the watermark reaches it",
    "_expires": "the row is forgotten when the watermark reaches it",
    "_is_closed": "the session is over; kept so that no later row begins it anew",
    "_etl_at": "event time, in microseconds since 1970 in UTC",
    "_etl_batch": "the batch that brought the row",
    "_etl_row": "the place of the row in its batch",
    "_etl_matched": "whether a partner was found",
    "_row": "the place of the row among those of its key",
    "_due_at": "when the key times out; none: never",
}
"""What columns of state are that neither the input nor the pipeline file has."""


@dataclass(frozen=True, slots=True)
class StoredTableFacts:
    """A table of the state of a transform; ``name`` is how queries call it."""

    transform: str
    table: str
    name: str
    facts: TableFacts


class PipelineState:
    """What a pipeline remembers after one batch. Raises ConfigError for a batch or a transform without state."""

    def __init__(self, pipeline: Pipeline, checkpoint: Checkpoint, batch_id: int) -> None:
        self.pipeline = pipeline.name
        self.batch_id = batch_id
        revision = checkpoint.manifests.log.revisions()[batch_id]
        self._manifest: Manifest = checkpoint.manifests.read(batch_id, revision)
        self._storage = checkpoint.storage.at("state")

    @property
    def watermark(self) -> str | None:
        """Where event time stands after the batch."""
        return self._manifest.watermark

    @property
    def transforms(self) -> list[str]:
        """The transforms that remember something, by the name of their state."""
        return list(self._manifest.state)

    def reader(self, transform: str) -> StateReader:
        """Return the state of a transform. Raises StateError where it is damaged, or no longer kept."""
        if transform not in self._manifest.state:
            told = f"no transform '{transform}' remembers anything{nearest(transform, self.transforms)}"
            raise ConfigError(told, where=self._where)
        return StateReader(self._storage.at(transform), self._manifest.state[transform])

    @property
    def _where(self) -> str:
        return f"{self.pipeline}, batch {self.batch_id}"

    @cached_property
    def tables(self) -> list[StoredTableFacts]:
        """Every table, the transforms in the order of the pipeline. Raises StateError."""
        found = []
        for transform in self.transforms:
            tables = self.reader(transform).tables
            is_only = len(tables) == 1
            found += [
                StoredTableFacts(transform, table, _name(transform, "" if is_only else table), facts)
                for table, facts in tables.items()
            ]
        return found

    def of(self, transform: str | None) -> dict[str, pl.DataFrame]:
        """Return the tables of a transform, of the only one for None. Raises ConfigError, StateError."""
        if transform is None:
            if len(self.transforms) != 1:
                known = ", ".join(self.transforms) or "none"
                raise ConfigError(f"name one of the transforms with state: {known}", where=self._where)
            (transform,) = self.transforms
        return {table: self.frame(transform, table) for table in self.reader(transform).tables}

    def frame(self, transform: str, table: str) -> pl.DataFrame:
        """Return the rows of a table, in no particular order. Raises StateError."""
        import polars as pl

        return pl.concat(self._parts(transform, table))

    def first_rows(self, transform: str, table: str, most: int) -> pl.DataFrame:
        """Return some rows of a table, sorted by their key; no more is read than they need. Raises StateError."""
        import polars as pl

        parts: list[pl.DataFrame] = []
        for part in self._parts(transform, table):
            parts.append(part.head(most - sum(each.height for each in parts)))
            if sum(each.height for each in parts) == most:
                break
        layout = self.reader(transform).tables[table].layout
        return pl.concat(parts).sort([*layout.keys, *layout.part] or pl.lit(0))

    def _parts(self, transform: str, table: str) -> Iterator[pl.DataFrame]:
        """Yield the rows of a table in parts, the first without any, so that there is one."""
        import polars as pl

        reader = self.reader(transform)
        columns = reader.tables[table].layout.columns
        return chain([pl.DataFrame(schema=columns)], reader.scan(table))

    def query(self, sql: str) -> pl.DataFrame:
        """Return the rows of a query over the tables. Raises ConfigError for what is no such query, StateError."""
        known = self._by_name()
        names = list(dict.fromkeys(each.name for each in self.tables))
        hint = f"tables of {self._where}: {', '.join(names) or 'none'}"
        wanted = tables_in(sql, hint)
        for name in wanted:
            if name not in known:
                raise ConfigError(f"unknown table '{name}'{nearest(name, names)}", where=self._where, hint=hint)
        frames = {name: self.frame(known[name].transform, known[name].table).lazy() for name in wanted}
        return evaluated(sql, frames)

    def _by_name(self) -> dict[str, StoredTableFacts]:
        """Return the tables by every name that they go by: with the table's own, too, where it is the only one."""
        whole = {_name(each.transform, each.table): each for each in self.tables}
        return whole | {each.name: each for each in self.tables}


def read_at(pipeline: Pipeline, seam: Seam, batch_id: int | None, read: Callable[[PipelineState], T]) -> T:
    """Return what ``read`` gives of the state after a batch, of the newest one for None.

    A run may go on meanwhile, and take away files that no kept batch needs: the newest batch is then read once more.
    Raises ConfigError for a batch that is not committed, StateError for one that is no longer kept, or damage.
    """
    state, kept = _opened(pipeline, seam, batch_id)
    try:
        return read(state)
    except StateError as exc:
        newer, kept = _opened(pipeline, seam, None)
        if state.batch_id in kept:
            raise
        if batch_id is not None:
            raise StateError(
                f"the state after batch {batch_id} is no longer kept",
                where=pipeline.name,
                hint=f"kept are those after the last {States.kept_batches} batches: {kept[0]} to {kept[-1]}",
            ) from exc
        return read(newer)


def _opened(pipeline: Pipeline, seam: Seam, batch_id: int | None) -> tuple[PipelineState, range]:
    """Return the state after a batch, and the batches whose states are kept."""
    checkpoint = find_checkpoint(pipeline.checkpoint, seam, pipeline.generation)
    committed = [] if checkpoint is None else list(checkpoint.commits.log.revisions())
    if checkpoint is None or not committed:
        raise ConfigError("never run: nothing is remembered yet", where=pipeline.name)
    newest = committed[-1]
    if batch_id is not None and batch_id not in committed:
        raise ConfigError(f"batch {batch_id} is not committed; the newest is {newest}", where=pipeline.name)
    state = PipelineState(pipeline, checkpoint, newest if batch_id is None else batch_id)
    return state, range(max(committed[0], newest + 1 - States.kept_batches), newest + 1)


def columns_of_ours(columns: Mapping[str, object]) -> dict[str, str]:
    """Return those of the columns that people do not know from their input, each with what it is."""
    return {name: COLUMNS_OF_OURS[name] for name in columns if name in COLUMNS_OF_OURS}


def _name(transform: str, table: str) -> str:
    """Return how a query calls a table.

    >>> _name("refunds.group_by-2", "distinct.buyers"), _name("deduplicate", "")
    ('refunds_group_by_2_distinct_buyers', 'deduplicate')
    """
    return re.sub(r"\W", "_", f"{transform}_{table}" if table else transform)
