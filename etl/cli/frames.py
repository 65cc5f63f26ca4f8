"""Rows of a query or a preview on the terminal, or in a file."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from etl.cli.text import columns_that_fit, counted, escaped, say, size, table
from etl.errors import ConfigError
from etl.model import PROVENANCE_COLUMNS

if TYPE_CHECKING:
    import polars as pl

_ROWS_SHOWN = 100


class Format(StrEnum):
    """How rows are printed."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"
    PARQUET = "parquet"


FormatOption = Annotated[Format, typer.Option("--format", help="How to print the rows.")]
Output = Annotated[Path | None, typer.Option(dir_okay=False, help="Write into this file.")]


def chosen_format(format_: Format, output: Path | None, *, as_json: bool) -> Format:
    """Return how rows are printed, or written. Raises BadParameter for a format that does not go with it."""
    chosen = Format.JSON if as_json else format_
    if chosen is Format.PARQUET and output is None:
        raise typer.BadParameter("needs --output FILE", param_hint="--format parquet")
    if chosen is Format.TABLE and output is not None:
        raise typer.BadParameter("needs --format csv, json or parquet", param_hint="--output")
    return chosen


def put_frame(frame: pl.DataFrame, chosen: Format, output: Path | None) -> None:
    """Print rows, or write them into a file and say so. Raises ConfigError where it cannot be written."""
    if output is None:
        say_frame(frame, chosen)
    else:
        write_frame(frame, chosen, output)
        say(f"{counted(frame.height, 'row')} written to {escaped(str(output))}", to_error=True)


def say_frame(frame: pl.DataFrame, format_: str) -> None:
    """Print rows as a table, CSV, or one JSON document."""
    if format_ == "csv":
        say(_flat(frame).write_csv().rstrip("\n"))
    elif format_ == "json":
        from etl.cli.text import say_json

        say_json(plain_rows(frame))
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
            _as_text(frame).write_json(path)
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


def plain_rows(frame: pl.DataFrame) -> list[dict[str, Any]]:
    """Return rows for JSON, bytes as Base64."""
    return _as_text(frame).to_dicts()


def _as_text(frame: pl.DataFrame) -> pl.DataFrame:
    """Return columns of bytes as Base64: neither CSV nor JSON has bytes."""
    import polars as pl

    return frame.with_columns(pl.col(pl.Binary).bin.encode("base64"))


def _shown(value: Any) -> str:  # noqa: ANN401  any value of a column
    if isinstance(value, bytes):
        return size(len(value))
    if isinstance(value, float):
        return f"{value:.12g}"
    return "" if value is None else str(value)


def _flat(frame: pl.DataFrame) -> pl.DataFrame:
    """Return lists and structs as JSON text: CSV has no nesting; bytes as Base64."""
    import json

    import polars as pl

    frame = _as_text(frame)
    nested = [name for name, dtype in frame.schema.items() if dtype.is_nested()]
    return frame.with_columns(
        pl.Series(name, [json.dumps(value, default=str) for value in frame[name].to_list()], dtype=pl.String)
        for name in nested
    )
