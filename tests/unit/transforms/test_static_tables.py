"""Delta tables and files as static tables: what a pin says, what is read, and what becomes of other versions."""

from __future__ import annotations

import gzip
import os
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from deltalake import DeltaTable, write_deltalake

from etl.errors import ConfigError, MissingTableError, PinChangedError, TransformError
from etl.project import default_project
from etl.schema import to_polars
from etl.transforms.static_delta import StaticDelta
from etl.transforms.static_files import StaticFiles
from etl.transforms.static_table import TablePlace

FIRST = pl.DataFrame({"id": [1, 2], "name": ["a", "b"], "_batch_id": [0, 0]})


def place(folder: Path, *wanted: str, **declared: Any) -> TablePlace:
    return TablePlace(default_project(folder), "transforms[0].join", wanted or None, declared or None)


def delta(folder: Path, *wanted: str) -> StaticDelta:
    return StaticDelta(f"{folder}/users", "silver.users", place(folder, *wanted))


def files(folder: Path, path: str, *wanted: str, **declared: Any) -> StaticFiles:
    return StaticFiles(f"{folder}/{path}", None, {}, place(folder, *wanted, **declared))


def test_a_delta_table_is_read_at_the_version_that_is_pinned(tmp_path: Path) -> None:
    write_deltalake(f"{tmp_path}/users", FIRST)
    table = delta(tmp_path)
    pin = table.pin()
    write_deltalake(f"{tmp_path}/users", FIRST.head(1), mode="overwrite")

    assert pin == {"delta": str(DeltaTable(f"{tmp_path}/users").metadata().id), "version": 0}
    assert sorted(table.load(pin).rows()) == [(1, "a"), (2, "b")]
    assert table.load(table.pin()).rows() == [(1, "a")]
    assert table.schema() == pl.Schema({"id": pl.Int64(), "name": pl.String()})
    assert delta(tmp_path, "_batch_id").load(pin).rows() == [(0,), (0,)]


def test_a_vacuumed_version_is_changed_and_one_whose_files_alone_are_missing_is_broken(tmp_path: Path) -> None:
    write_deltalake(f"{tmp_path}/users", FIRST)
    table = delta(tmp_path)
    pin = table.pin()
    write_deltalake(f"{tmp_path}/users", FIRST, mode="overwrite")
    DeltaTable(f"{tmp_path}/users").vacuum(0, dry_run=False, enforce_retention_duration=False)

    with pytest.raises(PinChangedError, match=r"version 0 of silver\.users cannot be read"):
        table.load(pin)

    newest = table.pin()
    for file in (tmp_path / "users").glob("*.parquet"):
        file.unlink()
    with pytest.raises(TransformError, match=r"version 3 of silver\.users cannot be read") as caught:
        table.load(newest)
    assert not isinstance(caught.value, PinChangedError)


def test_another_table_in_its_place_is_another_version(tmp_path: Path) -> None:
    write_deltalake(f"{tmp_path}/users", FIRST)
    table = delta(tmp_path)
    pin = table.pin()
    (tmp_path / "users").rename(tmp_path / "old")
    write_deltalake(f"{tmp_path}/users", FIRST)

    with pytest.raises(PinChangedError, match="another table has its place"):
        table.load(pin)


def test_a_delta_table_that_is_not_there_or_torn_is_told(tmp_path: Path) -> None:
    with pytest.raises(MissingTableError, match=r"there is no table silver\.users"):
        delta(tmp_path).pin()
    write_deltalake(f"{tmp_path}/users", FIRST)
    (tmp_path / "users" / "_delta_log" / f"{0:020d}.json").write_text("{torn")
    with pytest.raises(TransformError, match=r"silver\.users cannot be read"):
        delta(tmp_path).schema()


def test_types_that_tables_do_not_keep_become_those_that_they_do(tmp_path: Path) -> None:
    at = datetime.fromisoformat("2024-01-01T12:00:00")
    frame = pl.DataFrame({"ns": [at], "ms": [at], "berlin": [at], "word": ["x"]}).with_columns(
        pl.col("ns").cast(pl.Datetime("ns")),
        pl.col("ms").cast(pl.Datetime("ms")),
        pl.col("berlin").dt.replace_time_zone("Europe/Berlin"),
        pl.col("word").cast(pl.Categorical),
    )
    frame.write_parquet(tmp_path / "t.parquet")
    table = files(tmp_path, "t.parquet")

    found = table.load(table.pin())

    assert found.schema == table.schema()
    assert set(found.dtypes) == {pl.Datetime("us"), pl.Datetime("us", "UTC"), pl.String()}
    assert found.row(0)[:2] == (at, at)
    assert found["berlin"].dt.hour().item() == 11


WRITTEN: dict[str, Callable[[Path], object]] = {
    "t.parquet": FIRST.write_parquet,
    "t.csv": FIRST.write_csv,
    "t.csv.gz": lambda path: path.write_bytes(gzip.compress(FIRST.write_csv().encode())),
    "t.ndjson": FIRST.write_ndjson,
    "t.arrow": FIRST.write_ipc,
}


@pytest.mark.parametrize("name", WRITTEN)
def test_a_file_of_any_format_is_read_with_the_columns_that_are_wanted(tmp_path: Path, name: str) -> None:
    WRITTEN[name](tmp_path / name)
    table = files(tmp_path, name, "id", "name", id="int64", name="string")

    pin: Any = table.pin()

    assert [file[:2] for file in pin["files"]] == [[f"{tmp_path}/{name}", (tmp_path / name).stat().st_size]]
    assert table.load(pin).equals(FIRST.drop("_batch_id"))
    assert files(tmp_path, name).schema().names() == ["id", "name"]


def test_a_glob_and_a_folder_take_every_file_whose_name_does_not_begin_with_a_mark(tmp_path: Path) -> None:
    (tmp_path / "ref" / "sub").mkdir(parents=True)
    for number, name in enumerate(["b.csv", "a.csv", "sub/c.csv", "_d.csv", ".e.csv"]):
        (tmp_path / "ref" / name).write_text(f"id,extra{number}\n{number},x\n")

    def ids(path: str) -> list[str]:
        table = files(tmp_path, path)
        return table.load(table.pin())["id"].to_list()

    assert ids("ref") == ["1", "0", "2"]
    assert ids("ref/*.csv") == ["1", "0"]
    assert ids("ref/**/*.csv") == ["1", "0", "2"]
    assert files(tmp_path, "ref").schema().names() == ["id", "extra1", "extra0", "extra2"]


def test_a_file_that_is_another_one_now_is_another_version(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("id\n1\n")
    table = files(tmp_path, "t.csv")
    pin = table.pin()
    os.utime(path, (1, 1))

    with pytest.raises(PinChangedError, match=r"t\.csv changed after it was planned"):
        files(tmp_path, "t.csv").load(pin)
    path.unlink()
    with pytest.raises(PinChangedError):
        files(tmp_path, "t.csv").load(pin)
    with pytest.raises(MissingTableError, match="no file"):
        table.pin()


@pytest.mark.parametrize(
    ("text", "declared", "message"),
    [
        ('{"id": 1}\n{"id": \n', {}, "t.ndjson:2: "),
        ('{"id": 1}\n{"id": "x"}\n', {"id": "int64"}, "t.ndjson:2: "),
    ],
)
def test_a_row_that_cannot_be_read_is_refused_with_its_place(
    tmp_path: Path, text: str, declared: dict[str, str], message: str
) -> None:
    (tmp_path / "t.ndjson").write_text(text)
    table = files(tmp_path, "t.ndjson", **declared)

    with pytest.raises(TransformError) as caught:
        table.load(table.pin())

    assert message in caught.value.message
    assert (caught.value.where, bool(caught.value.hint)) == ("transforms[0].join", True)


def test_declared_types_go_before_those_that_are_found(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("id,name\n1,a\n")
    table = files(tmp_path, "t.csv", id="int16")

    assert table.load(table.pin()).schema == pl.Schema(to_polars({"id": "int16", "name": "string"}))


def test_a_file_that_cannot_be_read_at_all_and_wrong_options_are_told(tmp_path: Path) -> None:
    (tmp_path / "t.parquet").write_text("no parquet")
    (tmp_path / "t.csv").write_text("id\n1\n")

    with pytest.raises(TransformError, match=r"t\.parquet"):
        files(tmp_path, "t.parquet").schema()
    with pytest.raises(ConfigError, match=r"format_options\.delimitre"):
        StaticFiles(f"{tmp_path}/t.csv", None, {"delimitre": ";"}, place(tmp_path)).schema()
