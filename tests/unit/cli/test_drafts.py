"""``etl infer``: what it prints is a pipeline that validates and runs as it is."""

from __future__ import annotations

import gzip
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml
from deltalake import DeltaTable
from typer.testing import CliRunner, Result

from etl.cli.app import app
from tests.readers import table_rows

QUAKES = """\
DateTime,Latitude,Longitude,Depth,Magnitude,MagType,NbStations,Gap,Distance,RMS,Source,EventID
2031/03/01 00:30:04.91,18.0772,-67.1027,19.91,2.80,Md,,125,0,0.44,pr,203103012001
2031/03/01 00:30:58.02,37.4485,-115.9455,12.31,1.27,ML,26,150,28,0.20,NN,924900
2031/03/02 11:05:09.50,-7.2500,105.9000,,6.10,Mw,,,,1.02,us,20310302
"""
"""Rows in the shape of a catalogue of earthquakes."""

FEED = """\
{"version": 6, "address": "192.0.2.1", "timestamp": 1446249499322, "requests": {"total": 18, "current": 2}, \
"server_zones": {"hg.example.org": {"responses": {"1xx": 0, "2xx": 17}, "sent": 6490717598}}, \
"upstreams": {"trac-backend": {"peers": [{"id": 0, "server": "10.0.0.1:80", "backup": false, "downtime": 0.5}]}}}
{"version": 6, "address": "192.0.2.1", "timestamp": 1446249500322, "requests": {"total": 19, "current": 1}, \
"server_zones": {"hg.example.org": {"responses": {"1xx": 0, "2xx": 18}, "sent": 6490718000}}, \
"upstreams": {"trac-backend": {"peers": []}}, "caches": {"http": {"hit": {"bytes": 12}, "cold": true}}}
"""
"""Rows in the shape of a server's status feed."""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty project, which is the working folder."""
    (tmp_path / "pipelines").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def etl(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments), prog_name="etl")


def drafted(*arguments: str) -> str:
    """Return what infer prints, after it was validated and run as printed."""
    printed = etl("infer", *arguments)
    assert printed.exit_code == 0, printed.output
    Path("pipelines/draft.yml").write_text(printed.stdout, encoding="utf-8")
    for command in (("validate",), ("run", "--all")):
        done = etl(*command)
        assert done.exit_code == 0, f"{done.output}\n{printed.stdout}"
    return printed.stdout


def source_of(text: str) -> dict[str, Any]:
    source: dict[str, Any] = yaml.safe_load(text)["source"]
    return source


def note(text: str, column: str) -> str:
    """Return the comment behind a column."""
    (line,) = [line for line in text.splitlines() if line.strip().startswith(f"{column}:")]
    return line.partition("  # ")[2]


CSV_SAMPLES: dict[str, tuple[bytes, dict[str, Any], dict[str, str]]] = {
    "plain": (
        b"""id,name,price,share,joined_on,at,seen_at,is_new
1,"a, b",1.50,0.5,2024-01-31,2024-01-31 10:00,2024-01-31T10:00:00Z,true
2,c,12.00,1e-3,2024-02-29,2024-02-29 23:59:59.5,2024-02-29T10:00:00+02:00,false
""",
        {},
        {
            "id": "int64",
            "name": "string",
            "price": "decimal(18,2)",
            "share": "float64",
            "joined_on": "date",
            "at": "timestamp",
            "seen_at": "timestamp(UTC)",
            "is_new": "boolean",
        },
    ),
    "semicolons, decimal commas, German dates, windows-1252": (
        """Nr;Straße;Betrag;am;um
1;Öl;1,5;31.12.2024;31.12.2024 10:30
2;50 €;20,25;01.02.2024;01.02.2024 11:45
""".encode("windows-1252"),
        {
            "delimiter": ";",
            "encoding": "windows-1252",
            "decimal_comma": True,
            "date_format": "%d.%m.%Y",
            "timestamp_format": "%d.%m.%Y %H:%M",
        },
        {"Nr": "int64", "Straße": "string", "Betrag": "float64", "am": "date", "um": "timestamp"},
    ),
    "UTF-16": (
        "id\tname\n1\tŁucja\n2\tÉ\n".encode("utf-16"),
        {"encoding": "utf-16", "delimiter": "\t"},
        {"id": "int64", "name": "string"},
    ),
    "no header": (b"1|a\n2|b\n", {"delimiter": "|", "header": False}, {"column_1": "int64", "column_2": "string"}),
    "lines before the header": (
        b"Report of the till\nmade on Monday\n\nid,n\n1,2\n3,4\n5,6\n",
        {"skip_lines": 3},
        {"id": "int64", "n": "int64"},
    ),
    "names that are missing": (
        b",n,n\n1,2,3\n4,5,6\n",
        {"header": False, "skip_lines": 1},
        {"column_1": "int64", "n": "int64", "n_3": "int64"},
    ),
    "apostrophes": (b"id,name\n1,'a, b'\n2,'c'\n", {"quote": "'"}, {"id": "int64", "name": "string"}),
    "escapes": (b'id,name\n1,"a \\"b\\", c"\n', {"escape": "\\"}, {"id": "int64", "name": "string"}),
    "large numbers": (
        b"a,b,c\n9223372036854775808,1.1234567890123456789,1\n1,2.5,-2\n",
        {},
        {"a": "decimal(38,0)", "b": "decimal(38,19)", "c": "int64"},
    ),
}


@pytest.mark.parametrize(("content", "options", "schema"), CSV_SAMPLES.values(), ids=CSV_SAMPLES)
def test_the_dialect_and_the_types_of_csv_are_found(
    home: Path, content: bytes, options: dict[str, Any], schema: dict[str, str]
) -> None:
    (home / "rows.csv").write_bytes(content)
    text = drafted("rows.csv")
    source = source_of(text)
    assert source.get("format_options", {}) == options
    assert source["schema"] == schema
    assert "would be set aside" not in text
    assert not (home / "lake/bronze/rows__quarantine").exists()


@pytest.mark.parametrize(
    ("values", "kind", "expected"),
    [
        (["1"] * 9_997 + ["n/a", "-", "n/a"], "string", "3 of 10,000 values are no int64: 'n/a', '-'"),
        (["007", "12"], "string", "leading zeros: kept as text"),
        (["03/02/2024", "01/12/2024"], "string", "03/02/2024: day or month first? both fit"),
        (["03/02/2024", "13/02/2024"], "date", ""),
        (["20240131", "20240201"], "int64", "perhaps dates: `date`, with date_format: '%Y%m%d'"),
        (["", ""], "string", "no value in the sample"),
        (["10:30", "23:59:59.25"], "string", "times of day, for which Delta has no type: kept as text"),
        (["1,5", "2,5"], "string", "decimal commas, while other columns have points: kept as text"),
        (["2024-01-01T10:00:00.1234567", "2024-01-01T10:00:00.0000001"], "string", "more than six digits behind"),
        (["9223372036854775808", "1"], "decimal(38,0)", "integers beyond int64"),
        (["true", "false", "maybe"], "string", ""),
        (["x", "y"], "string", ""),
    ],
    ids=lambda value: value[-1] if isinstance(value, list) else None,
)
def test_what_is_doubtful_is_said_behind_the_column(home: Path, values: list[str], kind: str, expected: str) -> None:
    rows = "".join(f"{number}.5;{value}\n" for number, value in enumerate(values))
    (home / "rows.csv").write_text(f"n;value\n{rows}")
    text = drafted("rows.csv")
    assert source_of(text)["schema"]["value"] == kind
    assert note(text, "value").startswith(expected)
    assert bool(note(text, "value")) == bool(expected)


def test_a_form_of_dates_holds_for_one_column_and_the_other_stays_text(home: Path) -> None:
    (home / "rows.csv").write_text("a,b,c\n31.12.2024,2024-12-31,1\n30.12.2024,2024-12-30,2\n")
    text = drafted("rows.csv")
    assert source_of(text)["schema"] == {"a": "date", "b": "string", "c": "int64"}
    assert note(text, "b") == "date written as in ISO 8601, unlike other columns: kept as text"


def test_a_catalogue_of_earthquakes_is_loaded_value_by_value(home: Path) -> None:
    (home / "earthquakes.csv").write_text(QUAKES)
    text = drafted("earthquakes.csv", "--name", "quakes", "--table", "silver.quakes")
    content = yaml.safe_load(text)
    assert (content["name"], content["sink"]["table"]) == ("quakes", "silver.quakes")
    assert content["source"]["path"] == "earthquakes.csv"
    assert content["source"]["format_options"] == {"timestamp_format": "%Y/%m/%d %H:%M:%S%.f"}
    assert content["source"]["schema"]["DateTime"] == "timestamp"
    rows = table_rows(home / "lake/silver/quakes")
    assert len(rows) == 3
    first = min(rows, key=lambda row: row["_source_offset"])
    assert (str(first["DateTime"]), str(first["Magnitude"]), first["Source"]) == (
        "2031-03-01 00:30:04.910000",
        "2.80",
        "pr",
    )


def test_nested_json_is_loaded_with_its_names(home: Path) -> None:
    (home / "feed").mkdir()
    (home / "feed" / "a.ndjson").write_text(FEED)
    (home / "feed" / "b.ndjson.gz").write_bytes(gzip.compress(FEED.encode()))
    text = drafted("feed/*")
    source = source_of(text)
    assert source["include"] == ["feed/a.ndjson", "feed/b.ndjson.gz"]
    assert '"hg.example.org": struct{' in source["schema"]["server_zones"]
    assert len(table_rows(home / "lake/bronze/a")) == 4


def test_fields_without_a_value_become_text_with_a_word(home: Path) -> None:
    (home / "rows.ndjson").write_text('{"id": 1, "a": null, "b": [], "c": {"d": null}}\n')
    text = drafted("rows.ndjson")
    assert source_of(text)["schema"] == {
        "id": "int64",
        "a": "string",
        "b": "list<string>",
        "c": "struct{d: string}",
    }
    assert [note(text, name) for name in "abc"] == [
        "no value in the sample",
        "text where the sample has no value",
        "text where the sample has no value",
    ]


def test_lines_that_are_set_aside_are_counted_on_top(home: Path) -> None:
    (home / "rows.ndjson").write_text('{"id": 1}\n{"id": \n{"id": 3}\n')
    text = drafted("rows.ndjson")
    assert "# looked at 1 file: 3 rows" in text
    assert "# 1 of these rows would be set aside:\n#   1: syntax, " in text


def test_a_file_that_cannot_be_read_is_left_out_with_its_reason(home: Path) -> None:
    (home / "a.ndjson").write_text('{"id": 1}\n')
    (home / "b.ndjson.gz").write_bytes(gzip.compress(b'{"id": 2}\n' * 1000)[:30])
    text = etl("infer", "a.ndjson", "b.ndjson.gz").stdout
    assert "# looked at 1 of 2 files: 1 row, " in text
    assert "# left out: b.ndjson.gz: compressed data is damaged" in text
    assert etl("infer", "b.ndjson.gz").exit_code == 1


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
