"""What a reading schema means to pyarrow's JSON reader, and reading whole lines with it, strictly and in one go."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from etl.formats.json_pattern import Patterns
from etl.formats.json_values import (
    EXACT,
    check_digits,
    convert,
    has_null,
    is_doubtful,
    json_type,
    needs_conversion,
    wide_paths,
)
from etl.schema_contract import RESCUED, SchemaContract

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.json as pj

    from etl.model import Schema

_INFINITE = math.inf


class Layout:
    """A reading schema and its contract; made once for all files of a batch. ``known`` lacks ``_rescued_data``.

    ``is_dirty`` says that the piece before was, so that the next one probably is too: its lines are looked at before a
    parse in one go is tried in vain. It decides what is done first and never what comes of it.
    """

    def __init__(self, schema: Schema, contract: SchemaContract, wide: frozenset[str]) -> None:
        import pyarrow as pa

        self.schema = schema
        self.contract = contract
        self.wide = wide
        self.is_dirty = False
        self.known = {name: tree for name, tree in schema.items() if not (contract.rescues and name == RESCUED)}
        self.patterns = Patterns(self.known, keeps_small=False, forbids_absence=contract.missing_columns != "null")
        self._types = pa.schema([pa.field(name, json_type(tree)) for name, tree in self.known.items()])
        self._converted = {name: tree for name, tree in self.known.items() if needs_conversion(tree)}
        self._unexpected = "ignore" if contract.new_columns == "ignore" else "error"

    def table(self, content: bytes, rows: int) -> pa.Table:
        """Return lines, each known to be ``{…}``, as a table of ``rows`` rows.

        Raises ArrowInvalid unless each certainly fits: has no other columns, and lacks none where that matters.
        """
        import pyarrow as pa

        table = self._parsed(content, rows, self._types)
        if any(is_doubtful(column, EXACT) for column in _arrays(table)):
            raise pa.ArrowInvalid("a number may have been rounded")
        if self.contract.missing_columns != "null" and any(has_null(column) for column in _arrays(table)):
            raise pa.ArrowInvalid("a name may be missing")
        if len(self.known) < len(self.schema):
            nulls = pa.nulls(rows, pa.string())
            table = table.append_column(RESCUED, nulls).select(list(self.schema))
        return self._finished(table)

    def judged_table(self, content: bytes, rows: int) -> pa.Table:
        """Return lines that were looked at, and rewritten where they had to be. Raises ArrowInvalid."""
        import pyarrow as pa

        types = self._types
        if len(self.known) < len(self.schema):
            types = types.append(pa.field(RESCUED, pa.string()))
        table = self._parsed(content, rows, types).select(list(self.schema))
        if any(is_doubtful(column, _INFINITE) for column in _arrays(table)):
            raise pa.ArrowInvalid("a number is beyond its type")
        return self._finished(table)

    def takes(self, line: bytes) -> bool:
        """Tell whether a line by itself fits as it is."""
        import pyarrow as pa

        try:
            self.table(line, 1)
        except pa.ArrowInvalid:
            return False
        return True

    def wide_in(self, table: pa.Table) -> frozenset[str]:
        """Return the integer fields with a number beyond 2**53, where the contract lets integers become floats."""
        if self.contract.type_change != "widen":
            return frozenset()
        columns = zip(table.column_names, _arrays(table), strict=True)
        return frozenset(path for name, column in columns for path in wide_paths(column, name))

    def _parsed(self, content: bytes, rows: int, types: pa.Schema) -> pa.Table:
        import pyarrow as pa
        import pyarrow.json as pj

        options = pj.ParseOptions(explicit_schema=types, unexpected_field_behavior=self._unexpected)
        table = read_json(content, options)
        if table.num_rows != rows:
            raise pa.ArrowInvalid("more than one JSON value on a line")
        return table

    def _finished(self, table: pa.Table) -> pa.Table:
        for name, tree in self._converted.items():
            place = table.schema.get_field_index(name)
            table = table.set_column(place, name, convert(table.column(place).combine_chunks(), tree, name))
        check_digits(table, self.schema)
        return table


def _arrays(table: pa.Table) -> list[pa.Array]:
    return [chunk for column in table.columns for chunk in column.chunks]


def read_json(content: bytes, options: pj.ParseOptions) -> pa.Table:
    """Return whole lines as one table of one chunk per column. Raises ArrowInvalid."""
    import pyarrow as pa
    import pyarrow.json as pj

    whole = pj.ReadOptions(use_threads=False, block_size=len(content) + 1)
    return pj.read_json(pa.BufferReader(content), read_options=whole, parse_options=options)
