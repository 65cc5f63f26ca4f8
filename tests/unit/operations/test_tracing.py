from __future__ import annotations

from typing import Any

import pytest
from deltalake import DeltaTable

from etl.errors import ConfigError, SinkError
from etl.operations.files import InputFile
from etl.operations.tracing import Trace
from etl.operations.workspace import Workspace


@pytest.fixture
def trace(home: Workspace, run_all: Any) -> Trace:
    run_all(home)
    return Trace(home, "silver.orders")


def test_a_version_leads_to_its_batch_and_files(trace: Trace) -> None:
    found = trace.version(0)

    assert (found.pipeline, found.batch_id, found.operation) == ("orders", 0, "WRITE")
    assert found.files == (InputFile("landing/orders/1.ndjson", 63, 2),)
    assert (found.rows["read"], found.rows["filtered"], found.rows["written"]) == (2, 1, 1)


def test_without_a_version_the_newest_is_told(trace: Trace) -> None:
    assert trace.version().version == 1


def test_a_version_by_somebody_else_is_told_as_such(home: Workspace, run_all: Any) -> None:
    run_all(home)
    DeltaTable(str(home.folder / "lake" / "silver" / "orders")).optimize.compact()

    found = Trace(home, "silver.orders").version()

    assert (found.version, found.operation, found.batch_id, found.files) == (2, "OPTIMIZE", None, ())


def test_a_version_that_is_not_there_is_an_error(trace: Trace) -> None:
    with pytest.raises(SinkError, match=r"silver\.orders: has no version 9"):
        trace.version(9)


def test_a_file_leads_to_its_versions(trace: Trace) -> None:
    (passage,) = trace.file("landing/orders/1.ndjson")

    assert (passage.batch_id, passage.version, passage.rows_read, passage.rows_in_table) == (0, 0, 2, 1)


def test_a_file_that_gave_the_table_nothing_has_no_version_and_no_rows(
    home: Workspace, run_all: Any, put_orders: Any
) -> None:
    put_orders("3", [{"order_id": 4, "amount": -1.0}])
    run_all(home)

    (passage,) = Trace(home, "silver.orders").file("landing/orders/3.ndjson")

    assert (passage.batch_id, passage.version, passage.rows_read, passage.rows_in_table) == (2, None, 1, 0)
    assert passage.is_committed
    assert Trace(home, "silver.orders").version().version == 1


def test_a_file_is_known_by_its_whole_path_too(trace: Trace, home: Workspace) -> None:
    (passage,) = trace.file(str(home.folder / "landing" / "orders" / "2.ndjson"))

    assert (passage.path, passage.version) == ("landing/orders/2.ndjson", 1)


def test_a_file_in_an_unfinished_batch_has_no_version_yet(home: Workspace, run_all: Any, put_orders: Any) -> None:
    put_orders("3", []).write_text("{\n")
    run_all(home)

    (passage,) = Trace(home, "silver.orders").file("landing/orders/3.ndjson")

    assert (passage.batch_id, passage.version, passage.rows_in_table) == (2, None, None)


def test_a_file_that_no_batch_took_is_an_error(trace: Trace) -> None:
    with pytest.raises(ConfigError, match=r"landing/orders/9\.ndjson: no batch took this file"):
        trace.file("landing/orders/9.ndjson")


def test_a_row_leads_to_its_file_and_place(trace: Trace) -> None:
    (origin,) = trace.rows("order_id=3")

    assert (origin.file, origin.offset, origin.batch_id, origin.version) == ("landing/orders/2.ndjson", 0, 1, 1)
    assert origin.row == {"order_id": 3, "amount": 7.5, "double": 15.0}


def test_a_row_that_is_not_there_has_no_origin(trace: Trace) -> None:
    assert trace.rows("order_id=2") == []


@pytest.mark.parametrize("condition", ["order_id", "nope=1", "=1"])
def test_a_condition_on_no_column_is_refused(condition: str, trace: Trace) -> None:
    with pytest.raises(ConfigError, match=r"is no COLUMN=VALUE; columns: order_id, amount"):
        trace.rows(condition)


def test_rows_of_a_table_without_provenance_cannot_be_traced(home: Workspace, run_all: Any) -> None:
    path = home.folder / "pipelines" / "orders.yml"
    path.write_text(path.read_text().replace("silver.orders}", "silver.orders, provenance: false}"))
    run_all(home)
    trace = Trace(home, "silver.orders")

    with pytest.raises(ConfigError, match=r"does not keep where its rows came from"):
        trace.rows("order_id=3")
    assert [passage.rows_in_table for passage in trace.file("landing/orders/2.ndjson")] == [None]


def test_why_a_file_was_read_or_not_is_told(trace: Trace, put_orders: Any) -> None:
    put_orders("3", [{"order_id": 4, "amount": 1.0}])

    assert trace.explain("landing/orders/1.ndjson")["batch_id"] == 0
    assert trace.explain("landing/orders/3.ndjson") == {
        "path": "landing/orders/3.ndjson",
        "is_read": False,
        "reason": "waiting: a coming batch reads it",
    }
    assert trace.explain("landing/orders/notes.txt")["is_read"] is False


def test_before_the_first_run_there_is_nothing_to_trace(home: Workspace) -> None:
    with pytest.raises(ConfigError, match=r"orders: never run"):
        Trace(home, "silver.orders").version()


def test_a_table_that_no_pipeline_writes_is_refused_with_the_nearest(home: Workspace) -> None:
    with pytest.raises(
        ConfigError, match=r"no pipeline writes the table 'silver\.order'; did you mean 'silver\.orders'"
    ):
        Trace(home, "silver.order")


def test_tracing_changes_nothing(trace: Trace, home: Workspace, snapshot: Any) -> None:
    before = snapshot(home.folder)

    trace.version()
    trace.file("landing/orders/1.ndjson")
    trace.rows("order_id=1")
    trace.explain("landing/orders/1.ndjson")

    assert snapshot(home.folder) == before
