from __future__ import annotations

from typing import Any

import pytest

from etl.config.faults import ConfigFaults
from etl.operations.validation import validate
from etl.operations.workspace import Workspace


def test_a_good_pipeline_is_told_with_the_columns_of_its_table(home: Workspace, snapshot: Any) -> None:
    before = snapshot(home.folder)

    (verdict,) = validate(home)

    assert (verdict.pipeline, verdict.table, verdict.transforms, verdict.note) == ("orders", "silver.orders", 2, "")
    assert verdict.columns is not None
    assert verdict.columns["double"] == "Float64"
    assert snapshot(home.folder) == before


def test_a_wrong_column_is_found_before_a_row_moves(home: Workspace) -> None:
    path = home.folder / "pipelines" / "orders.yml"
    path.write_text(path.read_text().replace("amount * 2", "amont * 2"))

    with pytest.raises(ConfigFaults) as caught:
        validate(home)

    (fault,) = caught.value.faults
    assert (fault.file, fault.line, fault.path) == ("pipelines/orders.yml", 8, "transforms[1].with_columns")
    assert "amont" in fault.message


def test_faults_of_several_plans_come_together(home: Workspace) -> None:
    path = home.folder / "pipelines" / "orders.yml"
    wrong = path.read_text().replace("amount * 2", "amont * 2")
    path.write_text(wrong)
    (home.folder / "pipelines" / "other.yml").write_text(wrong.replace("silver.orders", "silver.other"))

    with pytest.raises(ConfigFaults) as caught:
        validate(home)

    assert [fault.file for fault in caught.value.faults] == ["pipelines/orders.yml", "pipelines/other.yml"]


def test_only_the_named_pipelines_are_checked(home: Workspace) -> None:
    (home.folder / "pipelines" / "other.yml").write_text("version: 1\nsource: 3\n")

    assert [verdict.pipeline for verdict in validate(home, ["orders"])] == ["orders"]


def test_columns_are_unknown_without_input(home: Workspace) -> None:
    for path in (home.folder / "landing" / "orders").iterdir():
        path.unlink()

    (verdict,) = validate(home)

    assert (verdict.columns, verdict.note) == (None, "there is no input yet")


def test_columns_are_unknown_where_the_source_cannot_be_listed(home: Workspace) -> None:
    (home.folder / "landing" / "orders").rename(home.folder / "gone")

    (verdict,) = validate(home)

    assert verdict.columns is None
    assert verdict.note.startswith("columns not checked: landing/orders: source unavailable")


def test_the_kept_schema_is_taken_once_everything_is_read(home: Workspace, run_all: Any) -> None:
    run_all(home)

    (verdict,) = validate(home)

    assert verdict.columns is not None
    assert list(verdict.columns)[:2] == ["order_id", "amount"]


def test_a_declared_schema_needs_no_input(home: Workspace) -> None:
    path = home.folder / "pipelines" / "orders.yml"
    path.write_text(path.read_text().replace("  batch:", "  schema: {order_id: int64, amount: float64}\n  batch:"))
    for file in (home.folder / "landing" / "orders").iterdir():
        file.unlink()

    (verdict,) = validate(home)

    assert verdict.columns is not None
    assert verdict.columns["amount"] == "Float64"
