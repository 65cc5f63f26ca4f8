"""Expected rows and the rows of a table: what is missing, what nobody expected."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, Any

from etl.errors import ConfigError, EtlError
from etl.formats.contract import FileOpener
from etl.formats.ndjson import Ndjson
from etl.schema import from_polars
from etl.schema_contract import SchemaContract
from etl.vocabulary import nearest

if TYPE_CHECKING:
    import polars as pl

_LITERAL = SchemaContract("fail", "fail", "null")


@dataclass(frozen=True, slots=True)
class Difference:
    """How a table differs from what was expected; rows have the compared columns.

    ``trouble`` is why it cannot be compared.
    """

    table: str
    missing: tuple[Mapping[str, Any], ...] = ()
    unexpected: tuple[Mapping[str, Any], ...] = ()
    trouble: str = ""


def difference(
    table: str, expected: Sequence[Mapping[str, Any]], found: pl.DataFrame, *, is_exact: bool = False
) -> Difference | None:
    """Return how the multiset of the rows found differs from the expected one, None where it does not.

    Compared are the columns that any expected row names; a row without one of them expects null there. With
    ``is_exact`` all columns are, but system ones that nobody names. A table without columns was never made.
    """
    names = list(dict.fromkeys(name for row in expected for name in row))
    if not found.width:
        return Difference(table, missing=tuple(expected)) if expected else None
    if is_exact or not names:
        names += [name for name in found.columns if name not in names and not name.startswith("_")]
    try:
        wanted = _typed(expected, names, found.schema)
    except EtlError as exc:
        return Difference(table, trouble=exc.message)
    there = found.select(names).to_dicts()
    missing = _without(wanted, there)
    unexpected = _beside(missing, _without(there, wanted))
    return Difference(table, tuple(missing), tuple(unexpected)) if missing or unexpected else None


def _typed(expected: Sequence[Mapping[str, Any]], names: Sequence[str], types: pl.Schema) -> list[dict[str, Any]]:
    """Return expected rows as values of the types of the table. Raises ConfigError, RowError."""
    import polars as pl

    for name in names:
        if name not in types:
            raise ConfigError(f"the table has no column '{name}'{nearest(name, types)}")
    if not names or not expected:
        return [{} for _ in expected]
    schema = from_polars(pl.Schema({name: types[name] for name in names}))
    texts = {name for name, tree in schema.items() if tree == "string"}
    content = as_lines({**row, **{name: as_text(row[name]) for name in texts & row.keys()}} for row in expected)
    file = FileOpener("expected", len(content), lambda: BytesIO(content))
    chunks = [chunk.frame for task in Ndjson(contract=_LITERAL).tasks(file, schema) for chunk in task()]
    return [row for frame in chunks for row in frame.select(names).to_dicts()]


def as_lines(rows: Iterable[Mapping[str, Any]]) -> bytes:
    """Return rows as NDJSON."""
    return "".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows).encode("utf-8", "surrogatepass")


def as_text(value: Any) -> Any:  # noqa: ANN401  any value of a YAML file
    """Return a number or a truth value as text: YAML takes ``007`` for a text and ``7`` for a number."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int | float) else value


def _without(rows: Sequence[Mapping[str, Any]], others: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the rows that are not among ``others``; of equal ones, so many as there are more."""
    left = Counter(_plain(row) for row in others)
    found = []
    for row in rows:
        left[_plain(row)] -= 1
        if left[_plain(row)] < 0:
            found.append(row)
    return found


def _plain(value: Any) -> str:  # noqa: ANN401  any value of a column
    """Return a value as text that is equal for equal values; floats to twelve digits."""
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{name}: {_plain(value[name])}' for name in sorted(value))}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(_plain, value))}]"
    return f"{value:.12g}" if isinstance(value, float) else repr(value)


def _beside(missing: Sequence[Mapping[str, Any]], rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return ``rows`` in an order in which each stands where the missing row does that it is most like."""
    left, found = list(rows), []
    for row in missing:
        if left:
            likest = max(
                left, key=lambda other: sum(_plain(other[name]) == _plain(value) for name, value in row.items())
            )
            left.remove(likest)
            found.append(likest)
    return [*found, *left]
