"""Rows of a query or a preview on the terminal, or in a file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from etl.cli.text import columns_that_fit, counted, escaped, say, table
from etl.errors import ConfigError
from etl.model import PROVENANCE_COLUMNS

if TYPE_CHECKING:
    from pathlib import Path

    import polars as pl

_ROWS_SHOWN = 100


def say_frame(frame: pl.DataFrame, format_: str) -> None:
    """Print rows as a table, CSV, or one JSON document."""
    if format_ == "csv":
        say(_flat(frame).write_csv().rstrip("\n"))
    elif format_ == "json":
        from etl.cli.text import say_json

        say_json(frame.to_dicts())
    else:
        _say_table(frame)


def write_frame(frame: pl.DataFrame, format_: str, path: Path) -> None:
    """Write rows into a file. Raises ConfigError where it cannot be written."""
    try:
        if format_ == "parquet":
            frame.write_parquet(path)
        elif format_ == "csv":
            _flat(frame).write_csv(path)
        else:
            frame.write_json(path)
    except OSError as exc:
        raise ConfigError(f"cannot be written: {exc.strerror or exc}", where=str(path)) from exc


def _say_table(frame: pl.DataFrame) -> None:
    """Print the first rows; columns that find no room are named below, those that tell the origin of rows first."""
    own = [name for name in frame.columns if name not in PROVENANCE_COLUMNS]
    ordered = frame.select(own + [name for name in PROVENANCE_COLUMNS if name in frame.columns])
    cells = [[_shown(value) for value in row] for row in ordered.head(_ROWS_SHOWN).iter_rows()]
    widths = [max(map(len, column)) for column in zip(ordered.columns, *cells, strict=True)]
    fit = columns_that_fit(widths)
    numbers = [name for name, dtype in ordered.schema.items() if dtype.is_numeric()]
    if fit:
        say(table(ordered.columns[:fit], [row[:fit] for row in cells], numbers))
    more = f", the first {_ROWS_SHOWN} shown" if frame.height > _ROWS_SHOWN else ""
    say(f"{counted(frame.height, 'row')}{more}")
    if hidden := ordered.columns[fit:]:
        say(f"not shown: {escaped(', '.join(hidden))}")


def _shown(value: Any) -> str:  # noqa: ANN401  any value of a column
    if isinstance(value, float):
        return f"{value:.12g}"
    return "" if value is None else str(value)


def _flat(frame: pl.DataFrame) -> pl.DataFrame:
    """Return lists and structs as JSON text: CSV has no nesting."""
    import json

    import polars as pl

    nested = [name for name, dtype in frame.schema.items() if dtype.is_nested()]
    return frame.with_columns(
        pl.Series(name, [json.dumps(value, default=str) for value in frame[name].to_list()], dtype=pl.String)
        for name in nested
    )
