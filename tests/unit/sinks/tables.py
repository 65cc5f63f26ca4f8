"""A Delta sink over a local folder, and the shortest ways through it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from etl.balance import Tally
from etl.model import Manifest, StagedFile
from etl.seam import Seam
from etl.sinks.contract import SinkSite
from etl.sinks.delta import DeltaOptions, DeltaSink
from etl.storage import LocalStorage

if TYPE_CHECKING:
    import polars as pl

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
