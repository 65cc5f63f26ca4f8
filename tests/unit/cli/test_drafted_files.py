"""A draft by the files that it is made from: names, formats, what is left out."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest
import yaml
from deltalake import DeltaTable

from tests.readers import table_rows
from tests.unit.cli.drafting import drafted, etl, source_of


def test_a_name_is_taken_from_files_without_their_dates(home: Path) -> None:
    (home / "in").mkdir()
    for day in (1, 2, 3):
        (home / "in" / f"orders-2026-11-0{day}.csv").write_text("id,n\n1,2\n")
    content = yaml.safe_load(drafted("in/*.csv"))
    assert (content["name"], content["sink"]["table"]) == ("orders", "bronze.orders")
    assert content["source"]["path"] == "in/*.csv"


def test_names_of_every_kind_are_quoted_where_yaml_needs_it(home: Path) -> None:
    name = 'a ${x} [1] "q" {b}.csv'
    (home / name).write_text('"yes","a: b","#x","HOME $","é\u00a0"\n1,2,3,4,5\n', encoding="utf-8")
    text = drafted(name, "--name", "odd")
    assert list(source_of(text)["schema"]) == ["yes", "a: b", "#x", "HOME $", "é\u00a0"]
    assert len(table_rows(home / "lake/bronze/odd")) == 1


def test_the_format_is_told_by_the_content_where_the_name_is_silent(home: Path) -> None:
    (home / "one").write_text('{"id": 1}\n')
    (home / "two").write_text("id;n\n1;2\n3;4\n")
    assert source_of(etl("infer", "one").stdout)["format"] == "ndjson"
    assert source_of(etl("infer", "two").stdout)["format"] == "csv"


@pytest.mark.parametrize(
    ("line", "form", "columns"),
    [
        (
            '192.0.2.7 - - [17/May/2031:10:05:03 +0000] "GET / HTTP/1.1" 200 12 "-" "curl/8"',
            "combined",
            ["remote_addr", "user_agent"],
        ),
        ("level=info took=1.5 msg=done", "logfmt", ["level", "took", "msg"]),
        ("something else", "text", ["line"]),
    ],
)
def test_log_lines_are_known_by_their_form(home: Path, line: str, form: str, columns: list[str]) -> None:
    (home / "server.log").write_text(f"{line}\n" * 3)
    source = source_of(drafted("server.log"))
    assert source["format"] == form
    assert set(columns) <= source["schema"].keys()
    assert DeltaTable(str(home / "lake/bronze/server")).to_pyarrow_table().num_rows == 3


def test_files_that_tell_their_types_are_asked_for_them(home: Path) -> None:
    pl.DataFrame({"id": [1], "at": [datetime(2026, 1, 2, tzinfo=UTC)]}).write_parquet(home / "rows.parquet")
    text = drafted("rows.parquet")
    assert source_of(text)["schema"] == {"id": "int64", "at": "timestamp(UTC)"}
    assert "# looked at 1 of 1 file" in text


def test_a_draft_is_written_into_a_new_file_alone(home: Path) -> None:
    (home / "rows.csv").write_text("id\n1\n")
    written = etl("infer", "rows.csv", "--output", "pipelines/rows.yml")
    assert (written.exit_code, written.stdout) == (0, "wrote pipelines/rows.yml; now look at it, then: etl validate\n")
    before = (home / "pipelines/rows.yml").read_bytes()
    again = etl("infer", "rows.csv", "--output", "pipelines/rows.yml")
    assert (again.exit_code, (home / "pipelines/rows.yml").read_bytes()) == (2, before)
    assert "is there already" in again.output


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("none.csv",), "none.csv: no such file"),
        (("rows.csv", "rows.ndjson"), "rows.ndjson: is ndjson, and rows.csv is csv: a pipeline reads one format"),
        (("empty.csv",), "empty.csv: no rows in it to infer a schema from"),
        (("wide.csv",), "wide.csv: looks like UTF-16 without a byte order mark"),
        (("rows.csv", "--name", "a/b"), "'a/b' is no name"),
    ],
)
def test_files_that_make_no_draft_are_refused(home: Path, arguments: tuple[str, ...], reason: str) -> None:
    (home / "rows.csv").write_text("id\n1\n")
    (home / "rows.ndjson").write_text('{"id": 1}\n')
    (home / "empty.csv").write_bytes(b"")
    (home / "wide.csv").write_bytes("id,name\n1,a\n".encode("utf-16-le"))
    refused = etl("infer", *arguments)
    assert refused.exit_code == 2
    assert reason in refused.output


def test_a_sample_is_bounded_and_says_so(home: Path) -> None:
    for number in range(2):
        rows = "".join(f"{row},x\n" for row in range(60_000))
        (home / f"rows{number}.csv").write_text(f"id,name\n{rows}")
    text = etl("infer", "rows0.csv", "rows1.csv").stdout
    assert "# looked at 2 of 2 files: 99,998 rows, 0.8 MB; a sample is at most 100 MB and 100,000 lines" in text
