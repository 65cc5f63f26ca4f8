"""Pipelines to prove: with rejected rows, with state, by key; and ways to do harm to them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from etl.checkpoint.record import Record, decode_record, encode_record
from etl.operations.looking import Onlooker
from etl.operations.verified import Check, Verification
from etl.operations.verifying import verify
from etl.operations.workspace import Workspace

WINDOWS = """\
version: 1
source:
  type: files
  path: landing/orders/*.ndjson
  batch: {max_files: 1}
  schema: {at: timestamp(UTC), kind: string, amount: float64}
transforms:
  - watermark: {column: at, delay: 0s}
  - group_by:
      window: {column: at, every: 1h}
      by: [kind]
      aggregate: {total: sum(amount)}
sink: {type: delta, table: silver.orders}
"""

BY_KEY = """\
version: 1
source: {type: files, path: landing/orders/*.ndjson, batch: {max_files: 1}}
sink: {type: delta, table: silver.orders, write_mode: merge, primary_key: [order_id]}
"""


def proven(home: Workspace, *, is_deep: bool = False) -> Verification:
    return verify(Workspace(home.folder), "orders", Onlooker(), is_deep=is_deep)


def failed(found: Verification) -> dict[str, list[str]]:
    """Return the faults of the checks that found any."""
    return {check.name: check.faults for check in found.checks if not check.is_ok}


def check_of(found: Verification, name: str) -> Check:
    return next(check for check in found.checks if check.name == name)


def records(home: Workspace) -> Path:
    return home.folder / "lake" / "_checkpoints" / "orders"


def table(home: Workspace, name: str = "orders") -> Path:
    return home.folder / "lake" / "silver" / name


def log_entry(home: Workspace, version: int, name: str = "orders") -> Path:
    return table(home, name) / "_delta_log" / f"{version:020d}.json"


def define(home: Workspace, text: str) -> Workspace:
    (home.folder / "pipelines" / "orders.yml").write_text(text)
    return Workspace(home.folder)


def rewrite(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Write a record anew with another body, and a checksum that fits it."""
    kind = path.parent.name.removesuffix("s").replace("offset", "plan")
    record = decode_record(path.read_bytes(), kind=kind, pipeline=None, where="")
    change(record.body)
    again = Record(record.kind, record.pipeline, record.batch_id, record.epoch, record.attempt, record.body)
    path.write_bytes(encode_record(again))
