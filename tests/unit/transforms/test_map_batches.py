from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from etl.balance import Tally
from etl.errors import ConfigError, SchemaDriftError, TransformError
from etl.model import BatchPlan

ROWS = pl.DataFrame({"id": list(range(1, 8)), "_source_file": ["f"] * 4 + ["g"] * 3})


@pytest.fixture
def write(tmp_path: Path) -> Any:
    def written(body: str) -> None:
        (tmp_path / "transforms").mkdir(exist_ok=True)
        (tmp_path / "transforms" / "score.py").write_text(f"import polars as pl\n{body}\n")

    return written


@pytest.mark.parametrize(
    ("body", "ids", "expected"),
    [
        ("frame.filter(pl.col('id') > 5)", [6, 7], {"filtered": 5}),
        ("frame.with_columns(pl.col('id') * 10)", [10, 20, 30, 40, 50, 60, 70], {}),
        ("pl.concat([frame, frame.head(1)])", [1, 2, 3, 4, 5, 6, 7, 1], {"added": 1}),
        ("frame.clear()", [], {"filtered": 7}),
    ],
)
def test_map_batches_calls_the_function_and_counts_the_difference(
    apply: Any, write: Any, body: str, ids: list[int], expected: dict[str, int]
) -> None:
    write(f"def f(frame):\n    return {body}")

    rows, counts = apply("map_batches", "score:f", ROWS)

    assert rows["id"].to_list() == ids
    assert counts == expected


def test_map_batches_counts_by_file(make: Any, write: Any) -> None:
    write("def f(frame):\n    return pl.concat([frame.filter(pl.col('id') < 6), frame.filter(pl.col('id') < 3)])")
    tally = Tally()

    make("map_batches", "score:f").apply(ROWS.lazy(), None, tally).collect()

    assert tally.by_file() == {"f": {"added": 2}, "g": {"filtered": 2}}


def test_map_batches_gives_at_most_so_many_rows_at_a_time_in_order(apply: Any, write: Any) -> None:
    write("def f(frame):\n    return frame.with_columns(of=pl.lit(frame.height), first=pl.col('id').first())")

    rows, _ = apply("map_batches", {"function": "score:f", "max_rows": 3}, ROWS)

    assert rows["id"].to_list() == [1, 2, 3, 4, 5, 6, 7]
    assert rows["of"].to_list() == [3, 3, 3, 3, 3, 3, 1]
    assert rows["first"].to_list() == [1, 1, 1, 4, 4, 4, 7]


def test_map_batches_makes_one_instance_of_a_class_when_rows_come(make: Any, write: Any, tmp_path: Path) -> None:
    write(
        "from pathlib import Path\n"
        "class Model:\n"
        "    def __init__(self):\n"
        f"        with Path({str(tmp_path / 'loads')!r}).open('a') as file:\n"
        "            file.write('x')\n"
        "    def __call__(self, frame):\n"
        "        return frame.with_columns(score=pl.col('id') / 2)"
    )
    call = {"function": "score:Model", "max_rows": 2, "schema": {"score": "float64"}}
    step = make("map_batches", call)

    assert step.output_schema(ROWS.schema) == pl.Schema({**ROWS.schema, "score": pl.Float64()})
    assert not (tmp_path / "loads").exists()
    for _ in range(2):
        assert step.apply(ROWS.lazy(), None, Tally()).collect()["score"].sum() == 14
    assert (tmp_path / "loads").read_text() == "x"


def test_map_batches_orders_the_columns_as_they_were_announced(apply: Any, write: Any) -> None:
    write("def f(frame):\n    return frame.with_columns(a=1).select('a', 'id', '_source_file')")
    call = {"function": "score:f", "schema": {"a": "int32"}}

    assert apply("map_batches", call, ROWS)[0].columns == ["id", "_source_file", "a"]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("frame.lazy()", "score:f returned LazyFrame, not a DataFrame"),
        ("None", "score:f returned NoneType"),
        ("frame.select('id')", "score:f drops the system columns _source_file"),
        ("frame.select('gone')", "score:f failed: ColumnNotFoundError"),
        ("frame['id'][0]", "score:f failed: IndexError"),
    ],
)
def test_map_batches_refuses_what_the_function_does_with_no_rows(
    refuse: Any, write: Any, body: str, message: str
) -> None:
    write(f"def f(frame):\n    return {body}")

    assert message in refuse("map_batches", "score:f", dict(ROWS.schema)).message


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("{}['k'] if frame.height else frame", "score:f failed: KeyError: 'k'"),
        ("frame.cast({'id': pl.Int32}) if frame.height else frame", "id is Int32, not Int64"),
        ("frame.select('id') if frame.height else frame", "_source_file is missing, not String"),
        ("frame.with_columns(n=1) if frame.height else frame", "n was not announced"),
    ],
)
def test_map_batches_fails_the_batch_where_the_function_fails_or_gives_other_columns(
    make: Any, write: Any, body: str, message: str
) -> None:
    write(f"def f(frame):\n    return {body}")

    with pytest.raises(TransformError) as caught:
        make("map_batches", "score:f").apply(ROWS.lazy(), None, Tally()).collect()

    assert message in caught.value.message
    assert caught.value.where == "transforms[2].map_batches"


def test_map_batches_refuses_a_declared_system_column(make: Any, write: Any) -> None:
    write("def f(frame):\n    return frame")

    with pytest.raises(ConfigError, match="'_source_file' is the name of a system column"):
        make("map_batches", {"function": "score:f", "schema": {"_source_file": "string"}})


def test_errors_of_what_lies_before_pass_through_with_their_kind(make: Any, write: Any) -> None:
    write("def f(frame):\n    return frame")

    def drift(_: pl.DataFrame) -> pl.DataFrame:
        raise SchemaDriftError("a new column", where="a.ndjson")

    rows = ROWS.lazy().map_batches(drift, streamable=True)

    with pytest.raises(SchemaDriftError, match="a new column"):
        make("map_batches", "score:f").apply(rows, None, Tally()).collect()


def test_only_the_first_rows_are_asked_for_where_no_more_are_wanted(make: Any, write: Any) -> None:
    write("seen = []\ndef f(frame):\n    seen.append(frame.height)\n    return frame.with_columns(calls=len(seen))")
    step = make("map_batches", {"function": "score:f", "max_rows": 2, "schema": {"calls": "int32"}})

    rows = step.apply(ROWS.lazy(), None, Tally())

    assert rows.head(3).collect()["calls"].to_list() == [1, 1, 2]
    assert rows.filter(pl.col("id") > 6).select("calls").collect().rows() == [(6,)]


def test_map_batches_stands_between_joins_and_may_join_by_itself(make: Any, write: Any, tmp_path: Path) -> None:
    write(
        "def f(frame):\n"
        "    other = frame.lazy().select('id', twice=pl.col('id') * 2)\n"
        "    return frame.lazy().join(other, on='id', maintain_order='left').collect()"
    )
    pl.DataFrame({"id": range(50_000), "w": range(50_000)}).write_parquet(tmp_path / "w.parquet")
    many = pl.DataFrame({"id": range(100_000), "t": range(100_000)})
    many.write_parquet(tmp_path / "in.parquet", row_group_size=10_000)
    before = make("join", {"path": "w.parquet", "on": "id"})
    behind = make("join", {"path": "w.parquet", "on": "id", "how": "asof", "asof": {"column": "t", "other": "w"}})
    plan = BatchPlan(0, datetime(2024, 1, 1, tzinfo=UTC), {}, {}, "d", pins={before.pin_id: before.pin()})
    rows = pl.scan_parquet(tmp_path / "in.parquet")

    for step in (before, make("map_batches", {"function": "score:f", "max_rows": 7_000}), behind):
        rows = step.apply(rows.drop("w", strict=False), plan, Tally())
    rows.sink_parquet(tmp_path / "out.parquet")

    found = pl.read_parquet(tmp_path / "out.parquet")
    assert found["id"].to_list() == list(range(100_000))
    assert found.columns == ["id", "t", "twice", "w"]
    assert found["w"].drop_nulls().to_list() == list(range(50_000))
    assert found["twice"].sum() == 99_999 * 100_000
