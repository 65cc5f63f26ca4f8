from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from etl.balance import Tally
from etl.errors import RowError, TransformError
from etl.model import BatchPlan
from etl.transforms import TRANSFORMS
from etl.transforms.blame import blamed
from etl.transforms.contract import TransformSite

PLAN = BatchPlan(0, datetime(2024, 3, 5, tzinfo=UTC), {}, {}, "definition")
ROWS = pl.LazyFrame({"id": [1, 2**62], "name": ["1", "x"]})


def steps(*values: tuple[str, object]) -> list[Any]:
    return [
        TRANSFORMS[key](TRANSFORMS[key].options_model.model_validate(value), TransformSite(Path(), place))
        for place, (key, value) in enumerate(values)
    ]


def after(rows: pl.LazyFrame | Callable[[], pl.LazyFrame]) -> Callable[[Sequence[Any]], pl.LazyFrame]:
    def rows_after(transforms: Sequence[Any]) -> pl.LazyFrame:
        found = rows if isinstance(rows, pl.LazyFrame) else rows()
        for step in transforms:
            found = step.apply(found, PLAN, Tally())
        return found

    return rows_after


def failure(transforms: list[Any], rows: pl.LazyFrame = ROWS) -> Exception:
    for step in transforms:
        rows = step.apply(rows, PLAN, Tally())
    with pytest.raises(pl.exceptions.PolarsError) as caught:
        rows.collect()
    return caught.value


def test_an_overflow_is_told_with_its_transform_and_value() -> None:
    transforms = steps(("with_columns", {"next": "id + 1"}), ("with_columns", {"square": "id * next"}))

    blame = blamed(failure(transforms), transforms, after(ROWS))

    assert isinstance(blame, TransformError)
    assert blame.where == "transforms[1].with_columns"
    assert blame.message == "square: id * next: a result does not fit int64: 21267647932558653971072598982912901120"
    assert blame.hint


def test_a_text_that_does_not_parse_is_told_with_its_transform() -> None:
    transforms = steps(("filter", "id > 0"), ("filter", ["id > 0", "CAST(name AS INT) > 0"]), ("drop", ["id"]))

    blame = blamed(failure(transforms), transforms, after(ROWS))

    assert str(blame).startswith("transforms[1].filter: CAST(name AS INT) > 0: conversion from `str` to `i32` failed")
    assert "expression" not in str(blame)


def test_a_text_that_is_no_date_is_told_with_its_value_and_expression() -> None:
    rows = pl.LazyFrame({"ordered_at": ["2024-02-03T10:00:00Z", "03/02/2024", None, "3.2.2024"]})
    transforms = steps(("with_columns", {"day": "CAST(ordered_at AS DATE)"}))

    assert str(blamed(failure(transforms, rows), transforms, after(rows))) == (
        "transforms[0].with_columns: day: CAST(ordered_at AS DATE): "
        "'03/02/2024' is not a date as ISO 8601 writes it (2024-03-05)\n  look at the rows: etl preview"
    )


def test_lists_of_different_lengths_are_blamed_on_explode() -> None:
    rows = pl.LazyFrame({"a": [[1, 2]], "b": [[1]]})
    transforms = steps(("explode", ["a", "b"]))

    assert str(blamed(failure(transforms, rows), transforms, after(rows))).startswith("transforms[0].explode: ")


def test_a_panic_in_rust_is_told_with_its_transform_and_expression() -> None:
    rows = pl.LazyFrame({"days": [2_000_000_000]})
    transforms = steps(("filter", "days > 0"), ("with_columns", {"day": "CAST(CAST(days AS DATE) AS VARCHAR)"}))

    with pytest.raises(pl.exceptions.PanicException) as caught:
        transforms[1].apply(rows, PLAN, Tally()).collect()

    assert str(blamed(caught.value, transforms, after(rows))) == (
        "transforms[1].with_columns: day: CAST(CAST(days AS DATE) AS VARCHAR): Polars broke off: out-of-range date"
        "\n  look at the rows: etl preview"
    )


def test_an_interruption_while_the_batch_runs_again_goes_through() -> None:
    def read() -> pl.LazyFrame:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        blamed(OSError("x"), [], after(read))


def test_an_error_of_ours_stays_as_it_is() -> None:
    error = RowError("bad line", where="a.jsonl:7")

    assert blamed(error, steps(("filter", "id > 0")), after(ROWS)) is error


def test_an_error_that_no_transform_causes_stays_as_it_is() -> None:
    error = OSError("no space left")

    assert blamed(error, steps(("filter", "id > 0")), after(ROWS)) is error


def test_a_source_that_fails_is_not_blamed_on_a_transform() -> None:
    broken = RowError("bad line", where="a.jsonl:7")

    def read() -> pl.LazyFrame:
        raise broken

    assert blamed(OSError("x"), steps(("filter", "id > 0")), after(read)) is broken
