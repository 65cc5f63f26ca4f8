"""``lines``: a line as one column of text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from etl.formats.log_records import Parsed

if TYPE_CHECKING:
    from datetime import datetime

    import polars as pl

    from etl.model import Schema


_COLUMNS: Schema = {"line": "string"}


class PlainLines:
    """Every line is of this format."""

    schema: Schema = _COLUMNS

    def parse(self, lines: pl.Series, _reference: datetime | None = None) -> Parsed:
        """Return lines as the column ``line``."""
        return Parsed(lines.alias("line").to_frame())
