"""A pipeline that rejects rows, and what becomes of those, in few words."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest

from etl.errors import EtlError
from etl.operations.quarantining import (
    Listening,
    PipelineQuarantine,
    Resolved,
    Selection,
)
from etl.operations.workspace import Workspace
from etl.progress import Silent
from etl.seam import Seam
from etl.testing import FailingSeam

CHECKED = """\
version: 1
source: {{type: files, path: landing/orders/*.ndjson, batch: {{max_files: 1}}}}
{transforms}
expect:
  - {{name: positive, check: amount >= {least}}}
  - {{name: small, check: amount < 100}}
quarantine: {{{quarantine}}}
sink: {{type: delta, table: silver.orders}}
"""


ALL = Selection()


def edit(home: Workspace, least: int = 0, quarantine: str = "", transforms: str = "") -> Workspace:
    """Write the pipeline anew."""
    text = CHECKED.format(least=least, quarantine=quarantine, transforms=transforms)
    (home.folder / "pipelines" / "orders.yml").write_text(text)
    return Workspace(home.folder)


def of(workspace: Workspace) -> PipelineQuarantine:
    return PipelineQuarantine(Workspace(workspace.folder), "orders")


def replay(workspace: Workspace, selection: Selection = ALL) -> Resolved:
    return of(workspace).resolve("replay", selection, Listening(Seam(), Silent()))


def discard(workspace: Workspace, selection: Selection = ALL) -> Resolved:
    return of(workspace).resolve("discard", selection, Listening(Seam(), Silent()))


def rows(workspace: Workspace, table: str = "orders") -> list[dict[str, Any]]:
    return pl.read_delta(str(workspace.folder / "lake" / "silver" / table)).to_dicts()


def orders(workspace: Workspace) -> list[tuple[int, str, int, int]]:
    found = [
        (row["order_id"], row["_source_file"][-8:], row["_source_offset"], row["_batch_id"]) for row in rows(workspace)
    ]
    return sorted(found)


def statuses(workspace: Workspace) -> dict[str, tuple[str, int | None]]:
    return {row["row_id"]: (row["status"], row["resolved_in"]) for row in rows(workspace, "orders__quarantine")}


def interrupted(workspace: Workspace) -> None:
    """Begin a replay that fails once its plan is written."""
    seam = FailingSeam("data.write", "error_before")
    with pytest.raises(EtlError, match=r"data\.write failed"):
        of(workspace).resolve("replay", ALL, Listening(seam, Silent()))
