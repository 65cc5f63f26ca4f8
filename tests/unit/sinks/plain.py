"""A plain Parquet sink over a local folder, and the shortest ways through it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl

from etl.balance import Tally
from etl.model import Manifest
from etl.seam import Seam
from etl.sinks.contract import SinkSite
from etl.sinks.parquet import ParquetSink
from etl.sinks.parquet_commits import Commits
from etl.sinks.parquet_options import ParquetOptions
from etl.sinks.parquet_reading import scan_parquet_table
from etl.storage import LocalStorage
from tests.unit.sinks.tables import APP

OTHER = "fedcba9876543210fedcba9876543210/main"


def make_plain(root: Path, app: str = APP, pipeline: str = "first", **options: Any) -> ParquetSink:
    """Return a sink of the table in ``root``; ``replaces`` as ``bind`` takes it."""
    replaces = options.pop("replaces", None)
    seam = options.pop("seam", None) or Seam()
    site = SinkSite("silver.t", str(root), LocalStorage(root, seam), seam)
    sink = ParquetSink(ParquetOptions(path=str(root), **options), site)
    sink.bind(app, pipeline, replaces)
    return sink


def staged(sink: ParquetSink, batch_id: int, rows: pl.DataFrame, name: str = "a") -> Manifest:
    """Stage a batch."""
    tally = Tally()
    schema = sink.prepare(rows.schema, may_widen=True)
    files = sink.stage(batch_id, name * 32, rows.lazy(), tally)
    return Manifest(batch_id, name * 32, {"main": files}, {"main": schema}, {}, tally.counts())


def add(sink: ParquetSink, batch_id: int, rows: pl.DataFrame, name: str = "a") -> int:
    """Stage and commit a batch; return its version."""
    return sink.commit(staged(sink, batch_id, rows, name), {"etl.batch_id": str(batch_id)})


def read(root: Path, version: int | None = None) -> pl.DataFrame:
    """Return the rows of the table by its records, in order."""
    rows = scan_parquet_table(Commits(LocalStorage(root, Seam()), Seam()), {}, "silver.t", version)
    return pl.DataFrame() if rows is None else rows.collect().sort(pl.all(), nulls_last=True)


def ids(root: Path, version: int | None = None) -> list[int]:
    """Return the values of ``id``, sorted."""
    return sorted(read(root, version)["id"].to_list()) if read(root, version).width else []
