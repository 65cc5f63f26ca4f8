"""``etl infer``: what it prints is a pipeline that validates and runs as it is."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.readers import table_rows
from tests.unit.cli.drafting import drafted, etl, source_of

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
