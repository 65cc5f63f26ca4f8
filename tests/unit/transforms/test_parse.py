from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import polars as pl
import pytest

from etl.balance import Tally
from etl.errors import ConfigError, TransformError
from etl.model import BatchPlan

LINE = '1.2.3.4 - ada [05/Mar/2024:10:20:30 +0200] "GET /a HTTP/1.1" 200 12 "-" "curl/8"'
MOMENT = datetime(2024, 3, 5, 8, 20, 30, tzinfo=UTC)
GOOD = {
    "remote_addr": "1.2.3.4",
    "ident": None,
    "remote_user": "ada",
    "time": MOMENT,
    "request": "GET /a HTTP/1.1",
    "method": "GET",
    "path": "/a",
    "protocol": "HTTP/1.1",
    "status": 200,
    "body_bytes": 12,
    "referer": None,
    "user_agent": "curl/8",
}
COMBINED = {"column": "raw", "format": "combined"}


def test_a_column_becomes_the_columns_of_its_format_and_null_becomes_nulls(apply: Any) -> None:
    frame = pl.DataFrame({"id": [1, 2], "raw": [LINE, None]})

    rows, counts = apply("parse", COMBINED, frame)

    assert rows.rows(named=True) == [
        {"id": 1, "raw": LINE} | GOOD,
        {"id": 2, "raw": None} | dict.fromkeys(GOOD),
    ]
    assert counts == {}


def test_only_the_columns_asked_for_are_added_in_their_order_with_the_prefix(apply: Any) -> None:
    options = COMBINED | {"into": ["status", "time"], "prefix": "http_", "keep": False}

    rows, _ = apply("parse", options, pl.DataFrame({"raw": [LINE], "status": ["mine"]}))

    assert rows.rows(named=True) == [{"status": "mine", "http_status": 200, "http_time": MOMENT}]


def test_a_column_may_take_the_place_of_the_one_it_comes_from(apply: Any) -> None:
    options = {"column": "line", "format": {"regex": "(?P<line>[a-z]+)!"}, "keep": False}

    rows, _ = apply("parse", options, pl.DataFrame({"line": ["a!"]}))

    assert rows.rows(named=True) == [{"line": "a"}]


def test_rows_that_do_not_parse_are_set_aside_with_all_that_they_hold(make: Callable[[str, Any], Any]) -> None:
    frame = pl.DataFrame(
        {
            "_source_file": ["a.log", "a.log", "b.log"],
            "_source_offset": [0, 90, 7],
            "raw": ["é", LINE, ""],
            "at": [MOMENT, MOMENT, None],
        }
    )
    tally = Tally()

    rows = make("parse", COMBINED).apply(frame.lazy(), BatchPlan(0, MOMENT, {}, {}, ""), tally).collect()

    assert rows["_source_offset"].to_list() == [90]
    assert tally.counts()["quarantined"] == 2
    reason = "raw: not in the format combined: {} is missing or written otherwise"
    assert tally.rejected.take().sort("_source_offset").rows(named=True) == [
        {
            "raw": raw,
            "form": "json",
            "context": None,
            "_source_file": file,
            "_source_offset": offset,
            "line": None,
            "rule": "parse",
            "reason": reason.format(part),
        }
        for raw, file, offset, part in [
            ('{"raw": "é", "at": "2024-03-05T08:20:30+00:00"}'.encode(), "a.log", 0, "ident"),
            (b'{"raw": ""}', "b.log", 7, "remote_addr"),
        ]
    ]


def test_rows_that_do_not_parse_stay_with_nulls_when_told_so(apply: Any) -> None:
    options = COMBINED | {"otherwise": "null", "into": ["status"]}

    rows, counts = apply("parse", options, pl.DataFrame({"raw": ["x", LINE, "y"]}))

    assert rows["status"].to_list() == [None, 200, None]
    assert rows["raw"].to_list() == ["x", LINE, "y"]
    assert counts == {}


def test_rows_that_do_not_parse_fail_the_batch_when_told_so(apply: Any) -> None:
    options = COMBINED | {"otherwise": "fail"}

    with pytest.raises(TransformError) as caught:
        apply("parse", options, pl.DataFrame({"raw": [LINE, "x"]}))

    assert caught.value.where == "transforms[2].parse"
    assert caught.value.message.startswith("raw: 'x' does not parse: not in the format combined: ident is missing")


def test_groups_take_declared_types_and_a_value_that_is_none_sets_its_row_aside(apply: Any) -> None:
    options = {"column": "raw", "format": {"regex": "(?P<n>[^ ]*) (?P<day>.*)"}, "schema": {"day": "date", "n": "int8"}}

    rows, counts = apply("parse", options, pl.DataFrame({"raw": ["7 2024-03-05", "128 2024-03-05", "7 2024-02-30"]}))

    assert rows.rows() == [("7 2024-03-05", 7, datetime(2024, 3, 5).date())]  # noqa: DTZ001
    assert counts == {"quarantined": 2}


def test_logfmt_needs_the_keys_and_leaves_others_in_the_column_that_stays(apply: Any, make: Any) -> None:
    options = {"column": "raw", "format": "logfmt", "schema": {"took": "float64", "level": "string"}}
    frame = pl.DataFrame({"raw": ["level=info took=1.5 other=x", "level=warn"]})

    rows, _ = apply("parse", options, frame)

    assert rows.select("took", "level").rows() == [(1.5, "info"), (None, "warn")]
    with pytest.raises(ConfigError, match="logfmt needs `schema`"):
        make("parse", {"column": "raw", "format": "logfmt"})


def test_keys_beyond_the_schema_set_a_row_aside_where_the_column_goes(apply: Any) -> None:
    options = {"column": "raw", "format": "logfmt", "schema": {"a": "string"}, "keep": False}

    rows, counts = apply("parse", options, pl.DataFrame({"raw": ["a=1", "a=1 b=2"]}))

    assert rows.rows() == [("1",)]
    assert counts == {"quarantined": 1}


def test_a_time_without_a_year_is_of_the_year_of_the_batch(apply: Any) -> None:
    options = {
        "column": "raw",
        "format": "syslog_rfc3164",
        "format_options": {"timezone": "Europe/Berlin"},
        "into": ["timestamp"],
    }

    rows, _ = apply("parse", options, pl.DataFrame({"raw": ["Mar  5 10:00:00 h x", "Mar  7 10:00:00 h x"]}))

    assert rows["timestamp"].to_list() == [
        datetime(2024, 3, 5, 9, tzinfo=UTC),
        datetime(2023, 3, 7, 9, tzinfo=UTC),
    ]


@pytest.mark.parametrize(
    ("options", "schema", "message"),
    [
        ({"column": "row"}, {"raw": pl.String}, "unknown column 'row'; did you mean 'raw'?"),
        ({"column": "raw"}, {"raw": pl.Int64}, "raw is Int64, no text"),
        ({"into": ["state"]}, {"raw": pl.String}, "unknown column 'state'; did you mean 'status'?"),
        ({}, {"raw": pl.String, "time": pl.String}, "two columns would be named 'time'"),
        ({"prefix": "_source_file"}, {"raw": pl.String}, "'_source_fileremote_addr' is the name of a system column"),
    ],
)
def test_options_that_do_not_fit_the_columns_are_refused(
    refuse: Any, options: dict[str, Any], schema: dict[str, Any], message: str
) -> None:
    assert refuse("parse", COMBINED | options, schema).message == message


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"format": "combind"}, "'combind' is no format of log lines; did you mean 'combined'?"),
        ({"format": {"grok": "%{IPV5:a}"}}, "unknown pattern IPV5; did you mean 'IPV6'?"),
        ({"schema": {"stats": "int64"}}, "the format gives no stats; did you mean 'status'?"),
        ({"schema": {"time": "date"}}, "time: the format gives timestamp(UTC), which cannot be read as date"),
        ({"format_options": {"zone": "UTC"}}, "zone: Extra inputs are not permitted"),
        ({"format": "json"}, "JSON needs `schema`"),
    ],
)
def test_options_that_no_line_could_fit_are_refused(make: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        make("parse", COMBINED | options)
    assert caught.value.message == message
    assert caught.value.where == "transforms[2].parse"


def test_json_becomes_columns_by_the_schema_and_what_is_none_is_set_aside(make: Callable[[str, Any], Any]) -> None:
    texts = [
        '{"a": 1, "b": "x", "c": true}',
        '{"a": 1.5}',
        "[1]",
        "",
        None,
        '{\n "b": "y",\r\n "a": 2\n}',
        '{"b": "broken\nline"}',
        "\ufeff{}",
        '{"a": 9223372036854775808}',
        "{}",
    ]
    step = make("parse", {"column": "raw", "format": "json", "schema": {"b": "string", "a": "int64"}})
    tally = Tally()
    frame = pl.DataFrame({"n": range(len(texts)), "raw": texts})

    rows = step.apply(frame.lazy(), BatchPlan(0, MOMENT, {}, {}, ""), tally).collect()

    assert rows.select("n", "b", "a").rows() == [(0, "x", 1), (4, None, None), (5, "y", 2), (9, None, None)]
    rejected = tally.rejected.take().sort("raw")
    assert [json.loads(raw)["n"] for raw in rejected["raw"]] == [1, 2, 3, 6, 7, 8]
    assert rejected["reason"].str.starts_with("raw: ").all()
