"""What ``etl.sources.file_reader`` rests on in ``polars.io.plugins.register_io_source``."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import polars as pl
import pytest
from polars.io.plugins import register_io_source

from etl.errors import SourceChangedError


def test_an_exception_of_the_generator_arrives_with_its_type_and_attributes() -> None:
    def stream(*_: object) -> Iterator[pl.DataFrame]:
        yield pl.DataFrame({"id": [1]})
        raise SourceChangedError("a.jsonl", "changed")

    rows = register_io_source(stream, schema={"id": pl.Int64})
    with pytest.raises(SourceChangedError) as caught:
        rows.collect(engine="streaming")
    assert caught.value.path == "a.jsonl"


def test_projection_predicate_and_row_bound_are_handed_to_the_source_which_must_keep_them() -> None:
    asked: list[tuple[object, bool, object]] = []

    def stream(
        wanted: list[str] | None, predicate: pl.Expr | None, most: int | None, _: int | None
    ) -> Iterator[pl.DataFrame]:
        asked.append((wanted, predicate is not None, most))
        frame = pl.DataFrame({"id": [1, 2, 3], "x": [4, 5, 6]})
        yield (frame if predicate is None else frame.filter(predicate)).select(wanted or frame.columns)

    rows = register_io_source(stream, schema={"id": pl.Int64, "x": pl.Int64})
    assert rows.select("x").collect().columns == ["x"]
    assert rows.filter(pl.col("id") > 2).select("id").collect().rows() == [(3,)]
    assert rows.head(1).collect().height == 3, "the bound is the source's to keep"
    assert asked == [(["x"], False, None), (["id"], True, None), (None, False, 1)]


def test_frames_of_the_generator_keep_their_order_through_a_streaming_sink(tmp_path: object) -> None:
    def stream(*_: object) -> Iterator[pl.DataFrame]:
        for number in range(200):
            yield pl.DataFrame({"id": [number] * 10})

    target = f"{tmp_path}/rows.parquet"
    register_io_source(stream, schema={"id": pl.Int64}).with_columns(x=pl.col("id") * 2).sink_parquet(target)
    assert pl.read_parquet(target)["id"].to_list() == [number for number in range(200) for _ in range(10)]


def test_a_generator_that_refers_to_its_own_rows_is_never_let_go_of() -> None:
    class Held:
        rows: pl.LazyFrame

    def told(*, is_circular: bool) -> weakref.ref[Held]:
        held = Held()

        def stream(*_: object) -> Iterator[pl.DataFrame]:
            yield pl.DataFrame({"id": [1], "held": [str(held)]})

        rows = register_io_source(stream, schema={"id": pl.Int64, "held": pl.String})
        rows.collect(engine="streaming")
        if is_circular:
            held.rows = rows
        return weakref.ref(held)

    references = [told(is_circular=False), told(is_circular=True)]
    gc.collect()
    assert [reference() is None for reference in references] == [True, False]
