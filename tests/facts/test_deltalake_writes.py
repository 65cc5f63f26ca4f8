"""What deltalake casts, takes or refuses when it writes: why ``etl.sinks.delta`` compares schemas itself."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from deltalake import DeltaTable, write_deltalake
from deltalake.exceptions import CommitFailedError, DeltaError


def appended(table: Path, first: pl.DataFrame, second: pl.DataFrame) -> list[Any]:
    write_deltalake(table, first)
    write_deltalake(table, second, mode="append")
    return list(pl.read_delta(str(table)).to_series(0).to_list())


def test_append_cuts_a_float_to_an_integer_without_a_word(tmp_path: Path) -> None:
    assert sorted(appended(tmp_path, pl.DataFrame({"x": [5]}), pl.DataFrame({"x": [1.9]}))) == [1, 5]


def test_append_reads_text_as_a_number_without_a_word(tmp_path: Path) -> None:
    assert sorted(appended(tmp_path, pl.DataFrame({"x": [1]}), pl.DataFrame({"x": ["5"]}))) == [1, 5]


def test_append_cuts_nanoseconds_without_a_word(tmp_path: Path) -> None:
    moment = pl.DataFrame({"x": pl.Series([1_001]).cast(pl.Datetime("ns", "UTC"))})
    first = pl.DataFrame({"x": [datetime(2026, 1, 1, tzinfo=UTC)]})
    assert min(appended(tmp_path, first, moment)) == datetime(1970, 1, 1, 0, 0, 0, 1, UTC)


def test_unsigned_integers_beyond_their_signed_type_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DeltaError):
        write_deltalake(tmp_path, pl.DataFrame({"x": pl.Series([2**63], dtype=pl.UInt64)}))


def test_decimal_of_another_precision_is_refused(tmp_path: Path) -> None:
    def decimals(precision: int, scale: int) -> pl.DataFrame:
        return pl.DataFrame({"x": pl.Series([Decimal("1.5")], dtype=pl.Decimal(precision, scale))})

    write_deltalake(tmp_path, decimals(10, 2))
    with pytest.raises((DeltaError, ValueError)):
        write_deltalake(tmp_path, decimals(12, 4), mode="append")


def test_columns_that_differ_in_case_only_are_refused(tmp_path: Path) -> None:
    with pytest.raises(Exception, match="Duplicate field name"):
        write_deltalake(tmp_path, pl.DataFrame({"id": [1], "ID": [2]}))


@pytest.mark.parametrize("operation", ["append", "merge"])
def test_stale_merge_is_refused_after_a_concurrent_append_or_merge(tmp_path: Path, operation: str) -> None:
    rows = pl.DataFrame({"id": [1], "v": [1]})
    write_deltalake(tmp_path, rows)
    stale = DeltaTable(tmp_path)

    def merge(table: DeltaTable) -> None:
        table.merge(rows, "t.id = s.id", "s", "t").when_matched_update_all().execute()

    if operation == "append":
        write_deltalake(tmp_path, rows, mode="append")
    else:
        merge(DeltaTable(tmp_path))
    with pytest.raises(CommitFailedError):
        merge(stale)


def test_stale_append_is_refused_after_a_concurrent_overwrite(tmp_path: Path) -> None:
    rows = pl.DataFrame({"id": [1]})
    write_deltalake(tmp_path, rows)
    stale = DeltaTable(tmp_path)
    write_deltalake(tmp_path, rows, mode="overwrite")
    with pytest.raises(CommitFailedError):
        write_deltalake(stale, rows, mode="append")
