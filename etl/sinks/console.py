"""The ``console`` sink: the first rows of every batch, for looking."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from etl.options import Options
from etl.row_json import encode_rows
from etl.secrets import scrubbed
from etl.sinks.receiver import Delivery, Receiver

if TYPE_CHECKING:
    from etl.sinks.contract import SinkSite


class ConsoleOptions(Options):
    """Rows on the screen."""

    type: Literal["console"] = "console"
    rows: int = Field(default=20, ge=1, description="how many of a batch are shown")

    @property
    def target(self) -> str:
        """What people call it."""
        return "console"


class ConsoleSink(Receiver):
    """Writes rows as JSON to the standard error stream: what a command prints for programs stays as it is."""

    options_model = ConsoleOptions

    def __init__(self, options: ConsoleOptions, site: SinkSite) -> None:
        super().__init__(site)
        self._shown = options.rows

    def deliver(self, delivery: Delivery) -> None:
        """Write the first rows. *Repeat*: writes them again."""
        import polars as pl

        frame = delivery.frame
        rows = frame.head(self._shown)
        raws: Any = encode_rows(rows.select(pl.struct(pl.all()).alias("row"))["row"]) if rows.height else []
        lines = [f"{delivery.pipeline}, batch {delivery.batch_id}: {frame.height:,} rows"]
        lines += [f"  {raw.decode('utf-8', 'replace')}" for raw in raws]
        if frame.height > rows.height:
            lines.append(f"  … {frame.height - rows.height:,} more")
        text = "".join(f"{scrubbed(line)}\n" for line in lines)
        self._seam.effect("console.write", lambda: sys.stderr.write(text))
