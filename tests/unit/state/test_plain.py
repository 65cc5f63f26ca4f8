from __future__ import annotations

from datetime import UTC, datetime

import polars as pl

from etl.state.contract import StateChange, TableLayout
from etl.state.plain import PlainTable
from etl.watermark import micros

MOMENT = pl.Datetime("us", "UTC")
LAYOUT = TableLayout({"id": pl.String()}, {"n": pl.Int64(), "until": MOMENT}, expires="until")
PARTED = TableLayout({"id": pl.String()}, {"n": pl.Int64()}, {"row": pl.Int64()})
KEYLESS = TableLayout({}, {"n": pl.Int64()})


def at(hour: int) -> datetime:
    return datetime(2026, 1, 1, hour, tzinfo=UTC)


def rows(*values: tuple[str | None, int, datetime | None]) -> pl.DataFrame:
    return pl.DataFrame(values, schema=LAYOUT.columns, orient="row")


def kept(table: PlainTable) -> list[tuple[object, ...]]:
    (frame,) = table.scan()
    return sorted(frame.rows(), key=repr)


def test_a_new_table_is_empty() -> None:
    assert PlainTable(LAYOUT).rows == 0
    assert kept(PlainTable(LAYOUT)) == []


def test_a_row_that_is_put_takes_the_place_of_that_with_its_key() -> None:
    first = PlainTable(LAYOUT).changed(StateChange(put=rows(("a", 1, at(1)), ("b", 2, None))))

    second = first.changed(StateChange(put=rows(("a", 3, at(2)))))

    assert kept(second) == [("a", 3, at(2)), ("b", 2, None)]
    assert kept(first) == [("a", 1, at(1)), ("b", 2, None)]


def test_null_is_a_key_like_any_other() -> None:
    table = PlainTable(LAYOUT).changed(StateChange(put=rows((None, 1, None))))

    assert table.lookup(pl.DataFrame({"id": [None, None]}, schema={"id": pl.String})).height == 1
    assert kept(table.changed(StateChange(put=rows((None, 2, None))))) == [(None, 2, None)]


def test_a_lookup_gives_the_rows_of_its_keys_once() -> None:
    table = PlainTable(LAYOUT).changed(StateChange(put=rows(("a", 1, None), ("b", 2, None))))

    found = table.lookup(pl.DataFrame({"other": [1, 2, 3], "id": ["a", "a", "x"]}))

    assert found.rows() == [("a", 1, None)]


def test_rows_of_one_key_are_told_apart_by_their_part() -> None:
    put = pl.DataFrame([("a", 1, 10), ("a", 2, 20)], schema=PARTED.columns, orient="row")
    table = PlainTable(PARTED).changed(StateChange(put=put))

    after = table.changed(
        StateChange(remove=pl.DataFrame({"id": ["a"], "row": [1]}, schema={"id": pl.String, "row": pl.Int64}))
    )

    assert table.lookup(pl.DataFrame({"id": ["a"]})).height == 2
    assert kept(after) == [("a", 2, 20)]


def test_rows_at_or_before_the_time_expire_and_those_without_never() -> None:
    table = PlainTable(LAYOUT).changed(StateChange(put=rows(("a", 1, at(1)), ("b", 2, at(2)), ("c", 3, None))))

    assert table.expired(micros(at(1))).rows() == [("a", 1, at(1))]
    assert kept(table.changed(StateChange(expire_upto_us=micros(at(1))))) == [("b", 2, at(2)), ("c", 3, None)]


def test_nothing_expires_where_no_column_says_when() -> None:
    assert PlainTable(PARTED).expired(2**60).height == 0


def test_a_table_without_keys_has_one_row() -> None:
    one = PlainTable(KEYLESS).changed(StateChange(put=pl.DataFrame({"n": [1]})))
    two = one.changed(StateChange(put=pl.DataFrame({"n": [2]})))

    assert kept(two) == [(2,)]
    assert two.lookup(pl.DataFrame({"x": [1]})).rows() == [(2,)]
    assert two.lookup(pl.DataFrame({"x": []})).rows() == []
