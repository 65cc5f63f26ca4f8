"""What ``etl.sinks.delta_files`` rests on in Polars' streaming Parquet sink."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow.parquet as pq
import pytest

from etl.errors import SinkError

ROWS = pl.LazyFrame({"k": ["a", "b", "a", None], "v": [1, 2, 3, 4]})


def sunk(folder: Path, rows: pl.LazyFrame, **options: Any) -> tuple[list[str], list[dict[str, Any]]]:
    """Return the paths that the callback was given, and the keys that the provider was."""
    paths: list[str] = []
    keys: list[dict[str, Any]] = []

    def name(args: Any) -> str:
        keys.append(args.partition_keys.to_dicts()[0] if args.partition_keys is not None else {})
        return f"part-{len(keys)}.parquet"

    layout = pl.PartitionBy(str(folder), file_path_provider=name, **options)
    rows.sink_parquet(
        layout, mkdir=True, sinked_paths_callback=lambda args: paths.extend(file.path for file in args.paths)
    )
    return sorted(paths), keys


def test_provider_is_given_the_keys_and_its_path_is_taken_as_it_is(tmp_path: Path) -> None:
    paths, keys = sunk(tmp_path / "t", ROWS, key="k", include_key=False)
    assert sorted(str(key["k"]) for key in keys) == ["None", "a", "b"]
    assert sorted(path.rsplit("/", 1)[1] for path in paths) == ["part-1.parquet", "part-2.parquet", "part-3.parquet"]
    assert sorted(str(path) for path in (tmp_path / "t").iterdir()) == paths
    assert pq.read_schema(paths[0]).names == ["v"]


def test_default_names_are_the_same_for_every_batch(tmp_path: Path) -> None:
    for _ in range(2):
        ROWS.sink_parquet(pl.PartitionBy(str(tmp_path / "t"), max_rows_per_file=10), mkdir=True)
    assert [path.name for path in (tmp_path / "t").iterdir()] == ["00000000.parquet"]


def test_sink_without_rows_writes_one_file_of_none_and_none_where_it_is_partitioned(tmp_path: Path) -> None:
    plain, _ = sunk(tmp_path / "plain", ROWS.filter(pl.lit(value=False)), approximate_bytes_per_file=1000)
    assert [pl.read_parquet(path).height for path in plain] == [0]
    assert sunk(tmp_path / "keyed", ROWS.filter(pl.lit(value=False)), key="k", include_key=False)[0] == []


def test_exception_of_the_path_provider_arrives_with_its_type(tmp_path: Path) -> None:
    def refuse(args: Any) -> str:
        raise SinkError("no", where=str(args.partition_keys["k"][0]))

    layout = pl.PartitionBy(str(tmp_path), file_path_provider=refuse, key="k", include_key=False)
    with pytest.raises(SinkError, match="no"):
        ROWS.sink_parquet(layout, mkdir=True)


def test_name_that_is_too_long_for_the_disk_is_an_os_error(tmp_path: Path) -> None:
    layout = pl.PartitionBy(str(tmp_path), file_path_provider=lambda _: "x" * 300, key="k", include_key=False)
    with pytest.raises(OSError, match="File name too long"):
        ROWS.sink_parquet(layout, mkdir=True)


def test_statistics_of_text_are_cut_at_64_bytes_and_rounded_outward(tmp_path: Path) -> None:
    pl.LazyFrame({"t": ["😀" * 40]}).sink_parquet(tmp_path / "t.parquet")
    found = pq.read_metadata(tmp_path / "t.parquet").row_group(0).column(0).statistics
    assert (found.min, found.max) == ("😀" * 16, "😀" * 15 + "😁")


def test_statistics_pass_over_nan_and_spread_zero_over_both_signs(tmp_path: Path) -> None:
    pl.LazyFrame({"x": [1.0, float("nan")], "z": [0.0, 0.0]}).sink_parquet(tmp_path / "t.parquet")
    group = pq.read_metadata(tmp_path / "t.parquet").row_group(0)
    found = [group.column(index).statistics for index in range(2)]
    assert (found[0].min, found[0].max) == (1.0, 1.0)
    assert (repr(found[1].min), repr(found[1].max)) == ("-0.0", "0.0")


def test_moments_beyond_the_years_of_python_cannot_be_read_from_a_footer(tmp_path: Path) -> None:
    pl.LazyFrame({"x": [400_000_000_000_000_000]}).select(pl.col("x").cast(pl.Datetime("us"))).sink_parquet(
        tmp_path / "t.parquet"
    )
    found = pq.read_metadata(tmp_path / "t.parquet").row_group(0).column(0).statistics
    with pytest.raises(OverflowError):
        assert found.min


def test_strict_cast_of_structs_goes_by_name_and_fills_missing_fields_with_null() -> None:
    wanted = pl.Struct({"a": pl.Int64, "b": pl.String})
    rows = pl.DataFrame({"s": [{"b": "x", "a": 1}]}, schema={"s": pl.Struct({"b": pl.String, "a": pl.Int8})})
    assert rows.select(pl.col("s").cast(wanted, strict=True)).to_dicts() == [{"s": {"a": 1, "b": "x"}}]
    assert rows.select(pl.col("s").struct.rename_fields(["b", "z"]).cast(wanted, strict=True)).to_dicts() == [
        {"s": {"a": None, "b": "x"}}
    ]


def test_partition_values_are_read_from_the_folders_not_from_the_log(tmp_path: Path) -> None:
    from tests.unit.sinks.tables import append, log_file, make_sink

    append(make_sink(tmp_path, partition_by=["k"]), 0, pl.DataFrame({"k": ["a"], "v": [1]}))
    log = log_file(tmp_path, 0)
    log.write_text(log.read_text().replace('"partitionValues":{"k":"a"}', '"partitionValues":{"k":"z"}'))
    assert pl.read_delta(str(tmp_path))["k"].to_list() == ["a"]


def test_process_that_only_imported_polars_may_fork() -> None:
    code = """
import os, deltalake, polars as pl, pyarrow.parquet
child = os.fork()
if child:
    raise SystemExit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
os._exit(0 if pl.LazyFrame({"x": [1, 2]}).select(pl.sum("x")).collect().item() == 3 else 9)
"""
    assert subprocess.run([sys.executable, "-W", "ignore", "-c", code], timeout=30, check=False).returncode == 0


def test_arithmetic_wraps_and_a_loose_cast_cuts_without_a_word() -> None:
    assert pl.Series([2**63 - 1, 1]).sum() == -(2**63)
    assert pl.Series([1.9]).cast(pl.Int64, strict=False).to_list() == [1]
