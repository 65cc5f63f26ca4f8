"""What programs may do with a project: run a pipeline, read a table, read what a pipeline remembers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from etl.model import Bounds
from etl.operations.looking import Onlooker
from etl.operations.refreshing import begin_refresh
from etl.operations.running import Running, run_pipeline
from etl.operations.states import read_at
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


def read_state(
    pipeline: str, transform: str | None = None, batch: int | None = None, project: str | Path = "."
) -> pl.DataFrame | dict[str, pl.DataFrame]:
    """Return what a stateful transform remembers after a batch, the newest one for None; a run may go on meanwhile.

    A frame, or where the transform has several tables each by its name, whatever they are. Without ``transform`` that
    of the only one. Nothing is changed. Raises ConfigError for what is not there, StateError for a batch whose state
    is no longer kept.
    """
    seam = Onlooker()
    wired = Workspace(Path(project)).wired(pipeline, seam)
    tables = read_at(wired, seam, batch, lambda state: state.of(transform))
    return next(iter(tables.values())) if len(tables) == 1 else tables


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
