"""The quarantine's own rows: ids, text of bytes that are none, what is kept, marked and taken out."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from etl.model import PROVENANCE_COLUMNS, BatchPlan, Manifest, PlannedInput, Revision, Schema, Span, StagedFile
from etl.rejects import rejects
from etl.seam import Seam
from etl.sinks.contract import SinkSite
from etl.sinks.delta import DeltaSink
from etl.sinks.delta_options import DeltaOptions
from etl.sinks.quarantine import ROLE, Quarantine, most_frequent, quarantine_rows, quarantine_schema
from etl.storage import LocalStorage

AT = datetime(2026, 1, 1, 12, 30, tzinfo=UTC)
REJECTED: list[dict[str, Any]] = [
    {"raw": b"{x", "_source_file": "in/b", "_source_offset": 9, "line": 2, "rule": "syntax", "reason": "cut off"},
    {"raw": b"\xffab", "_source_file": "in/a", "_source_offset": 20, "rule": "encoding", "reason": "no text"},
    {"raw": "é\n".encode(), "_source_file": "in/a", "_source_offset": 3, "rule": "type", "reason": "no number"},
    {"form": "file", "_source_file": "in/c", "rule": "unreadable_file", "reason": "damaged"},
]


def plan_of(batch_id: int = 4, resolution: dict[str, Any] | None = None) -> BatchPlan:
    planned = PlannedInput(Span(None, {"n": 1}), {})
    return BatchPlan(batch_id, AT, {"source": planned}, {"source": None}, "d", resolution=resolution)


def test_rows_come_in_the_order_of_their_files_with_ids_of_their_batch() -> None:
    frame = quarantine_rows(plan_of(), rejects(REJECTED), keeps_raw=True)
    assert frame.schema == pl.Schema(quarantine_schema())
    assert frame.select("row_id", "_source_file", "_source_offset", "raw", "raw_bytes", "form", "rule").rows() == [
        ("4-1", "in/a", 3, "é\n", None, "text", "type"),
        ("4-2", "in/a", 20, "\\xffab", b"\xffab", "text", "encoding"),
        ("4-3", "in/b", 9, "{x", None, "text", "syntax"),
        ("4-4", "in/c", None, None, None, "file", "unreadable_file"),
    ]
    assert frame.select("_batch_id", "rejected_at", "status", "resolved_in", "resolved_at").unique().rows() == [
        (4, AT, "open", None, None)
    ]


def test_ids_do_not_depend_on_the_order_in_which_threads_set_rows_aside() -> None:
    one, other = (quarantine_rows(plan_of(), rejects(given), keeps_raw=True) for given in (REJECTED, REJECTED[::-1]))
    assert one.equals(other)


def test_text_that_looks_escaped_is_told_from_bytes_that_are() -> None:
    given = [{"raw": b"\\xff", "_source_offset": 1}, {"raw": b"\xff", "_source_offset": 2}]
    frame = quarantine_rows(plan_of(), rejects(given), keeps_raw=True)
    assert frame.select("raw", "raw_bytes").rows() == [("\\xff", None), ("\\xff", b"\xff")]


def test_rows_may_be_kept_without_what_they_were() -> None:
    frame = quarantine_rows(plan_of(), rejects(REJECTED), keeps_raw=False)
    assert frame.select("raw", "raw_bytes").unique().rows() == [(None, None)]
    assert frame["reason"].to_list() == ["no number", "no text", "cut off", "damaged"]


def test_no_rows_are_a_frame_of_the_table() -> None:
    assert quarantine_rows(plan_of(), rejects([]), keeps_raw=True).schema == pl.Schema(quarantine_schema())


def test_the_most_frequent_reason_is_told() -> None:
    assert most_frequent(rejects([])) == "none was kept"
    assert most_frequent(rejects([*REJECTED, REJECTED[0]])) == "most often (2): syntax, cut off"


def side(root: Path, **more: Any) -> Quarantine:
    seam = Seam()
    site = SinkSite("q", str(root), LocalStorage(root, seam), seam, {}, PROVENANCE_COLUMNS, ROLE)
    sink = DeltaSink(DeltaOptions(path=str(root)), site)
    sink.bind("0123456789abcdef/quarantine", "orders/quarantine")
    return Quarantine(sink, **more)


Staged = tuple[tuple[StagedFile, ...], Schema, Revision | None]


def staged(
    root: Path, plan: BatchPlan, given: list[dict[str, Any]], replaced: frozenset[str] = frozenset()
) -> Staged | None:
    return side(root).stage(plan, "a" * 32, rejects(given), replaced)


def commit(root: Path, plan: BatchPlan, found: Staged | None) -> None:
    assert found is not None
    files, schema, revision = found
    revisions = {} if revision is None else {ROLE: revision}
    manifest = Manifest(plan.batch_id, "a" * 32, {ROLE: files}, {ROLE: schema}, {}, {}, revisions=revisions)
    side(root).sink.commit(manifest, {})


def statuses(root: Path) -> dict[str, tuple[str, int | None]]:
    frame = pl.read_delta(str(root))
    return {row["row_id"]: (row["status"], row["resolved_in"]) for row in frame.iter_rows(named=True)}


def test_a_batch_without_rejected_rows_leaves_the_table_alone(tmp_path: Path) -> None:
    assert staged(tmp_path, plan_of(), []) is None
    assert list(tmp_path.rglob("*.parquet")) == []


def test_rejected_rows_become_a_version_of_the_table(tmp_path: Path) -> None:
    commit(tmp_path, plan_of(0), staged(tmp_path, plan_of(0), REJECTED[:2]))
    commit(tmp_path, plan_of(1), staged(tmp_path, plan_of(1), REJECTED[2:]))
    assert statuses(tmp_path) == {"0-1": ("open", None), "0-2": ("open", None), "1-1": ("open", None),
                                  "1-2": ("open", None)}  # fmt: skip


@pytest.mark.parametrize(("action", "status"), [("replay", "replayed"), ("discard", "discarded")])
def test_rows_that_a_plan_resolves_are_marked(tmp_path: Path, action: str, status: str) -> None:
    commit(tmp_path, plan_of(0), staged(tmp_path, plan_of(0), REJECTED[:3]))
    plan = plan_of(1, {"action": action, "rows": ["0-2", "0-3"]})
    commit(tmp_path, plan, staged(tmp_path, plan, REJECTED[:1]))
    assert statuses(tmp_path) == {
        "0-1": ("open", None), "0-2": (status, 1), "0-3": (status, 1), "1-1": ("open", None),
    }  # fmt: skip
    assert pl.read_delta(str(tmp_path))["resolved_at"].drop_nulls().to_list() == [AT, AT]


def test_rows_that_a_plan_resolves_and_that_are_not_there_change_nothing(tmp_path: Path) -> None:
    commit(tmp_path, plan_of(0), staged(tmp_path, plan_of(0), REJECTED))
    plan = plan_of(1, {"action": "discard", "rows": ["7-1"]})
    assert staged(tmp_path, plan, []) is None


def test_rows_of_files_that_are_replaced_go(tmp_path: Path) -> None:
    commit(tmp_path, plan_of(0), staged(tmp_path, plan_of(0), REJECTED))
    plan = plan_of(1)
    commit(tmp_path, plan, staged(tmp_path, plan, REJECTED[:1], frozenset({"in/a"})))
    frame = pl.read_delta(str(tmp_path)).select("row_id", "_source_file").sort("row_id")
    assert frame.rows() == [("0-3", "in/b"), ("0-4", "in/c"), ("1-1", "in/b")]
