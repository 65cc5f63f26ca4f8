"""The rows of a table's files that have some keys, and where each of them stands: key columns are read once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from etl.schema import to_polars
from etl.sinks.delta_keys import with_keys

if TYPE_CHECKING:
    import polars as pl

    from etl.sinks.delta_reading import FileReader, LiveFile

FILE, ROW = PLACE = ("_etl_file", "_etl_row")
_WANTED = "_etl_wanted"
_FILES = 64
_ROWS = 2_000_000
"""How much one query looks into: its plan grows with the files, what it holds with the rows."""


@dataclass(frozen=True, slots=True)
class Search:
    """What is looked for: the rows with one of ``keys``, in the columns ``names`` (the keys' among them).

    ``most`` is how many rows may be held; of more only the places are kept. None: all are.
    """

    keys: pl.DataFrame
    names: Sequence[str]
    most: int | None = None


class Hits:
    """The rows that a search has found: ``places`` says where (``PLACE``), ``values`` has their columns in that order.

    ``files`` are those of the version, whose numbers places have. ``values`` is None where they are too many.
    """

    def __init__(
        self,
        reader: FileReader,
        files: Sequence[LiveFile],
        search: Search,
        found: tuple[pl.DataFrame, pl.DataFrame | None],
    ) -> None:
        self._reader = reader
        self._files = files
        self._search = search
        self.places, self.values = found

    def stream(self, names: Sequence[str]) -> pl.LazyFrame:
        """Return all rows found in some of the columns that were asked for, in no order."""
        import polars as pl

        if self.values is not None:
            return self.values.lazy().select(names)
        touched = self.places[FILE].unique(maintain_order=True)
        rows = pl.concat([self._reader.typed(self._files[number]).select(self._search.names) for number in touched])
        return with_keys(rows, self._search.keys).select(names)

    def places_of(self, keys: pl.DataFrame) -> pl.DataFrame:
        """Return where the rows with some of the keys stand."""
        if self.values is None:
            return look(self._reader, self._files, self.places[FILE].unique(), Search(keys, keys.columns, 0))[0]
        numbered = self.values.select(keys.columns).hstack(self.places)
        return numbered.join(keys, on=keys.columns, how="semi", nulls_equal=True).select(PLACE).sort(PLACE)

    def rows(self, places: pl.DataFrame, names: Sequence[str]) -> pl.DataFrame:
        """Return the columns ``names`` of the rows at some places, in the order of ``places``, which are sorted."""
        import polars as pl

        parts = [
            at_places(self._reader.typed(self._files[number]).select(names), rows) for number, rows in _by_file(places)
        ]
        return pl.concat([part.collect(engine="streaming") for part in parts])


def look(
    reader: FileReader, files: Sequence[LiveFile], numbers: Sequence[int] | pl.Series, search: Search
) -> tuple[pl.DataFrame, pl.DataFrame | None]:
    """Return places and columns of the rows that a search finds in the files with some ``numbers``."""
    import polars as pl

    places = [nowhere()]
    values: list[pl.DataFrame] = []
    count = 0
    is_whole = search.most is None or search.most > 0
    for part in _portions(files, numbers):
        names = search.names if is_whole else search.keys.columns
        rows = [
            reader.typed(files[number], ROW).select(pl.lit(number, pl.UInt32).alias(FILE), pl.col(ROW), *names)
            for number in part
        ]
        found = with_keys(pl.concat(rows), search.keys).collect(engine="streaming").sort(PLACE)
        places.append(found.select(pl.col(PLACE).cast(pl.UInt32)))
        count += found.height
        is_whole = is_whole and (search.most is None or count <= search.most)
        values = [*values, found.select(search.names)] if is_whole else []
    if not is_whole:
        return pl.concat(places), None
    return pl.concat(places), pl.concat(values) if values else _nothing(reader, search.names)


def nowhere() -> pl.DataFrame:
    """Return no place."""
    import polars as pl

    return pl.DataFrame(schema=dict.fromkeys(PLACE, pl.UInt32))


def _nothing(reader: FileReader, names: Sequence[str]) -> pl.DataFrame:
    import polars as pl

    types = to_polars(reader.after)
    return pl.DataFrame(schema={name: types[name] for name in names})


def _portions(files: Sequence[LiveFile], numbers: Sequence[int] | pl.Series) -> Iterator[list[int]]:
    """Give the numbers of files in portions that one query looks into."""
    portion: list[int] = []
    rows = 0
    for number in numbers:
        count = files[number].get("num_records") or 0
        if portion and (len(portion) == _FILES or rows + count > _ROWS):
            yield portion
            portion, rows = [], 0
        portion.append(number)
        rows += count
    if portion:
        yield portion


def _by_file(places: pl.DataFrame) -> Iterator[tuple[int, pl.Series]]:
    for (number,), part in places.group_by(FILE, maintain_order=True):
        yield int(number), part[ROW]


def at_places(rows: pl.LazyFrame, numbers: pl.Series) -> pl.LazyFrame:
    """Return the rows with some numbers, from 0, in their order."""
    import numpy as np

    wanted = np.zeros(int(numbers.max()) + 1, np.bool_)  # type: ignore[arg-type]
    wanted[numbers.to_numpy()] = True
    return beside(rows.head(len(wanted)), wanted)


def beside(rows: pl.LazyFrame, is_wanted: object) -> pl.LazyFrame:
    """Return the rows, streamed in their order, for which an array of truths of the same length is true."""
    import polars as pl

    names = rows.collect_schema().names()
    marks = pl.DataFrame({_WANTED: is_wanted}).lazy()
    return pl.concat([rows, marks], how="horizontal").filter(_WANTED).select(names)
