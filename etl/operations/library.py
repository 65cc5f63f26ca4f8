"""What programs may do with a project: run a pipeline, read a table."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from etl.model import Bounds
from etl.operations.refreshing import begin_refresh
from etl.operations.running import Running, run_pipeline
from etl.operations.tables import scan_table, scan_url
from etl.operations.workspace import Workspace
from etl.progress import Silent
from etl.seam import Seam

if TYPE_CHECKING:
    import polars as pl

    from etl.model import BatchResult


def read_table(name_or_path: str, project: str | Path = ".", version: int | None = None) -> pl.LazyFrame:
    """Return the rows of a table: by name (``silver.orders``) in the lake of a project, or at a path or URL.

    Raises ConfigError for a table that does not exist.
    """
    home = Workspace(Path(project)).project
    if "/" in name_or_path:
        return scan_url(home, home.url(name_or_path), Seam(), version)
    return scan_table(home, name_or_path, Seam(), version)


def run(
    pipeline: str, project: str | Path = ".", max_batches: int | None = None, *, full_refresh: bool = False
) -> list[BatchResult]:
    """Run a pipeline of a project until nothing is left to take; return what it committed. Raises EtlError.

    With ``full_refresh`` its table is built anew, from the first file on. The run keeps the definition that it begins
    with, whatever becomes of its files meanwhile.
    """
    seam, workspace = Seam(), Workspace(Path(project))
    wired = workspace.wired(pipeline, seam)
    if full_refresh:
        begin_refresh(wired, seam)
        wired = workspace.wired(pipeline, seam)
    outcome = run_pipeline(wired, Running(seam, Silent(), Bounds(max_batches)))
    if outcome.error is not None:
        raise outcome.error
    return list(outcome.results)
