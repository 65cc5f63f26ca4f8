"""A Delta sink over a local folder, and the shortest ways through it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from etl.balance import Tally
from etl.model import Manifest, StagedFile
from etl.seam import Seam
from etl.sinks.contract import SinkSite
from etl.sinks.delta import DeltaSink
from etl.sinks.delta_log import Action, DeltaLog
from etl.sinks.delta_options import DeltaOptions
from etl.storage import LocalStorage

APP = "0123456789abcdef0123456789abcdef/main"


def make_sink(root: Path, *, seam: Seam | None = None, app: str = APP, **options: Any) -> DeltaSink:
    """Return a sink of the table in ``root``; ``provenance`` are the system columns that it keeps."""
    seam = seam or Seam()
    provenance = options.pop("provenance", ())
    site = SinkSite("silver.t", str(root), LocalStorage(root, seam), seam, provenance=provenance)
    sink = DeltaSink(DeltaOptions(path=str(root), **options), site)
    sink.bind(app)
    return sink


@dataclass(frozen=True, slots=True)
class Attempt:
    """The manifest of a staged batch."""

    sink: DeltaSink
    manifest: Manifest

    @property
    def files(self) -> tuple[StagedFile, ...]:
        return self.manifest.tables["main"]

    def commit(self) -> int:
        return self.sink.commit(self.manifest, {"etl.batch_id": str(self.manifest.batch_id)})


def attempt(sink: DeltaSink, batch_id: int, rows: pl.DataFrame, name: str = "a") -> Attempt:
    """Stage a batch."""
    tally = Tally()
    schema = sink.prepare(rows.schema)
    files = sink.stage(batch_id, name * 32, rows.lazy(), tally)
    return Attempt(sink, Manifest(batch_id, name * 32, {"main": files}, {"main": schema}, {}, tally.counts()))


def append(sink: DeltaSink, batch_id: int, rows: pl.DataFrame, name: str = "a") -> int:
    """Stage and commit a batch; return its version."""
    return attempt(sink, batch_id, rows, name).commit()


def log_file(root: Path, version: int) -> Path:
    """Return the path of a version."""
    return root / "_delta_log" / f"{version:020d}.json"


def table_data(root: Path) -> list[str]:
    """Return the data files that lie in the table's folder, referred to or not."""
    return sorted(str(path.relative_to(root)) for path in root.rglob("*.parquet") if "_delta_log" not in path.parts)


def actions(root: Path, version: int) -> dict[str, Any]:
    """Return the actions of a version by kind; adds as a list."""
    found: dict[str, Any] = {"add": []}
    for line in log_file(root, version).read_text().splitlines():
        ((kind, body),) = json.loads(line).items()
        if kind == "add":
            found["add"].append(body)
        else:
            found[kind] = body
    return found


def log_of(root: Path, seam: Seam | None = None, app: str = APP) -> DeltaLog:
    """Return the log of a table as one writer sees it."""
    seam = seam or Seam()
    log = DeltaLog(LocalStorage(root, seam), {}, seam)
    log.app_id = app
    return log


def our_table(root: Path, batches: int = 1) -> Path:
    """Make a table of so many batches of one row."""
    sink = make_sink(root)
    for batch_id in range(batches):
        append(sink, batch_id, pl.DataFrame({"id": [1]}))
    return root


def add_version(root: Path, version: int, *actions: Action) -> None:
    """Write a version by hand."""
    log_file(root, version).write_text(
        "".join(json.dumps(action) + "\n" for action in actions or ({"commitInfo": {}},))
    )
