from __future__ import annotations

from typing import Any

import pytest

from etl.errors import ConfigError
from etl.operations.looking import Onlooker
from etl.operations.preview import preview
from etl.operations.workspace import Workspace


def show(home: Workspace, rows: int = 20, at: str | None = None) -> Any:
    seam = Onlooker()
    return preview(home.wired("orders", seam), seam, rows, at)


def test_the_first_rows_are_those_of_the_next_batch(home: Workspace, snapshot: Any) -> None:
    before = snapshot(home.folder)

    found = show(home)

    own = found.frame.select("order_id", "amount", "double")
    assert own.rows() == [(1, 5.0, 10.0)]
    assert (found.files, found.is_past) == (1, False)
    assert snapshot(home.folder) == before


def test_no_more_rows_than_asked_for(home: Workspace, put_orders: Any) -> None:
    put_orders("2", [{"order_id": number, "amount": 1.0} for number in range(50)])
    (home.folder / "landing" / "orders" / "1.ndjson").unlink()

    assert show(home, rows=7).frame.height == 7


@pytest.mark.parametrize("at", ["filter", "0", "transforms[0]"])
def test_a_preview_stops_after_the_named_transform(home: Workspace, at: str) -> None:
    frame = show(home, at=at).frame

    assert frame["order_id"].to_list() == [1]
    assert "double" not in frame.columns


def test_a_transform_that_does_not_exist_is_refused_with_the_known_ones(home: Workspace) -> None:
    with pytest.raises(ConfigError, match=r"--at: unknown transform 'filer'.*0 \(filter\)"):
        show(home, at="filer")


def test_a_number_out_of_range_is_refused(home: Workspace) -> None:
    with pytest.raises(ConfigError, match="unknown transform '9'"):
        show(home, at="9")


def test_a_key_that_stands_twice_must_be_named_by_its_number(home: Workspace) -> None:
    path = home.folder / "pipelines" / "orders.yml"
    path.write_text(path.read_text().replace("sink:", "  - filter: amount > 1\nsink:"))

    with pytest.raises(
        ConfigError, match=r"'filter' is not the only one.*0 \(filter\), 1 \(with_columns\), 2 \(filter\)"
    ):
        show(home, at="filter")


def test_with_nothing_new_the_newest_batch_is_shown_again(home: Workspace, run_all: Any) -> None:
    run_all(home)

    found = show(home)

    assert found.is_past
    assert found.frame["order_id"].to_list() == [3]


def test_an_unfinished_batch_is_shown_with_its_file_as_it_is_now(
    home: Workspace, run_all: Any, put_orders: Any
) -> None:
    run_all(home)
    put_orders("3", []).write_text("{\n")
    run_all(home)
    put_orders("3", [{"order_id": 9, "amount": 1.0}])

    found = show(home)

    assert found.frame["order_id"].to_list() == [9]
    assert not found.is_past


def test_without_input_there_is_nothing_to_show(home: Workspace) -> None:
    for path in (home.folder / "landing" / "orders").iterdir():
        path.unlink()

    assert show(home) is None
