from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from etl.errors import ConfigError
from etl.formats.log_formats import format_from
from tests.unit.formats.log_files import parsed

AT = datetime(2024, 3, 5, 8, 20, 30, tzinfo=UTC)
ACCESS = {
    "remote_addr": "2001:db8::7",
    "ident": None,
    "remote_user": "ada king",
    "time": AT,
    "request": r"\x16\x03\"",
    "method": None,
    "path": None,
    "protocol": None,
    "status": None,
    "body_bytes": 9223372036854775807,
}
NO_PRIORITY = {"priority": None, "facility": None, "severity": None}


def test_common_keeps_escapes_reads_zones_and_takes_a_dash_for_null() -> None:
    line = r'2001:db8::7 - ada king [05/Mar/2024:10:20:30 +0200] "\x16\x03\"" - 9223372036854775807'

    assert parsed("common", line) == [ACCESS]


def test_combined_keeps_an_empty_referer_as_empty_text() -> None:
    line = r'2001:db8::7 - ada king [05/Mar/2024:10:20:30 +0200] "\x16\x03\"" - 9223372036854775807 "" "-"'

    assert parsed("combined", line) == [ACCESS | {"referer": "", "user_agent": None}]


MISSING = "is missing or written otherwise"


def access(time: str, rest: str) -> str:
    return f'a - - [{time} +0200] "-" {rest}'


@pytest.mark.parametrize(
    ("form", "line", "reason"),
    [
        (
            "common",
            access("30/Feb/2024:10:20:30", "200 1"),
            "time: 30/Feb/2024:10:20:30 +0200 is no day of the calendar",
        ),
        ("common", access("03/Feb/2024:10:20:30", f"200 {2**63}"), f"body_bytes: {2**63} is beyond int64"),
        ("common", access("03/Feb/2024:10:20:30", "ok 1"), f"not in the format common: status {MISSING}"),
        ("common", access("03/Feb/2024:10:20:30", '200 1 "-"'), "not in the format common: text behind its end"),
        ("syslog_rfc3164", "Feb 30 10:20:30 h x", "timestamp: Feb 30 10:20:30 is no day of the calendar"),
        (
            "syslog_rfc5424",
            "<192>1 - - - - - -",
            f"not in the format syslog_rfc5424: the priority, <0> to <191>, {MISSING}",
        ),
        ("logfmt", "a=1 b=2 a=3", "the key a stands twice"),
        ("logfmt", r'a="\ud800"', "a value holds half of a surrogate pair"),
        ("cri", "2024-03-05T10:20:30Z in F x", f"not in the format cri: stream, stdout or stderr, {MISSING}"),
    ],
)
def test_a_line_that_is_not_of_the_format_is_refused_with_the_reason(form: str, line: str, reason: str) -> None:
    assert parsed(form, line) == [reason]


def test_syslog_finds_program_and_process_only_where_they_stand() -> None:
    head = {"timestamp": datetime(2024, 3, 5, 10, 20, 30, tzinfo=UTC), "hostname": "h"}

    assert parsed(
        "syslog_rfc3164",
        "<34>Mar  5 10:20:30 h su: 'su root' failed",
        "Mar 05 10:20:30 h CRON[12]: (root) CMD",
        "Mar 5 10:20:30 h last message repeated 2 times",
        "2024-03-05T11:20:30+01:00 h kernel:  [1.5] x",
    ) == [
        head
        | {"priority": 34, "facility": 4, "severity": 2}
        | {"app_name": "su", "proc_id": None, "message": "'su root' failed"},
        head | NO_PRIORITY | {"app_name": "CRON", "proc_id": "12", "message": "(root) CMD"},
        head | NO_PRIORITY | {"app_name": None, "proc_id": None, "message": "last message repeated 2 times"},
        head | NO_PRIORITY | {"app_name": "kernel", "proc_id": None, "message": " [1.5] x"},
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Mar  6 10:20:30", datetime(2024, 3, 6, 10, 20, 30, tzinfo=UTC)),
        ("Mar  6 10:20:31", datetime(2023, 3, 6, 10, 20, 31, tzinfo=UTC)),
        ("Dec 31 23:59:59", datetime(2023, 12, 31, 23, 59, 59, tzinfo=UTC)),
        ("Feb 29 00:00:00", datetime(2024, 2, 29, tzinfo=UTC)),
    ],
)
def test_a_time_without_a_year_is_at_most_a_day_ahead_of_the_file(text: str, expected: datetime) -> None:
    assert parsed("syslog_rfc3164", f"{text} h x")[0]["timestamp"] == expected  # type: ignore[index]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Jul  1 12:00:00", datetime(2023, 7, 1, 10, tzinfo=UTC)),
        ("Oct 29 02:30:00", datetime(2023, 10, 29, 0, 30, tzinfo=UTC)),
        ("Mar 26 02:30:00", "timestamp: Mar 26 02:30:00 does not exist in Europe/Berlin: clocks were set forward"),
    ],
)
def test_a_time_without_a_zone_is_of_the_time_zone_of_the_options(text: str, expected: Any) -> None:
    found = parsed("syslog_rfc3164", f"{text} h x", options={"timezone": "Europe/Berlin"})[0]

    assert (found if isinstance(found, str) else found["timestamp"]) == expected


def test_a_time_without_a_year_needs_to_know_when_the_file_was_written() -> None:
    import polars as pl

    parser = format_from("syslog_rfc3164").way.parser
    with pytest.raises(ConfigError, match="nothing tells the year"):
        parser.parse(pl.Series(["Mar  5 10:20:30 h x"]), None)
    assert parser.parse(pl.Series(["2024-03-05T11:20:30Z h x"]), None).reasons is None


def test_structured_data_keeps_order_repetition_and_reads_its_escapes() -> None:
    line = r'<165>1 2024-03-05T10:20:30.000003Z - app - ID47 [a@1 x="\"\\\]\n" x="" é="é"][b] ' + "\ufefftext"

    assert parsed("syslog_rfc5424", line, "<0>12 - h - 7 - -") == [
        {
            "priority": 165,
            "facility": 20,
            "severity": 5,
            "timestamp": datetime(2024, 3, 5, 10, 20, 30, 3, tzinfo=UTC),
            "hostname": None,
            "app_name": "app",
            "proc_id": None,
            "message": "text",
            "version": 1,
            "msg_id": "ID47",
            "structured_data": [
                {
                    "id": "a@1",
                    "params": [
                        {"name": "x", "value": '"\\]\\n'},
                        {"name": "x", "value": ""},
                        {"name": "é", "value": "é"},
                    ],
                },
                {"id": "b", "params": []},
            ],
        },
        {
            "priority": 0,
            "facility": 0,
            "severity": 0,
            "timestamp": None,
            "hostname": "h",
            "app_name": None,
            "proc_id": "7",
            "message": None,
            "version": 12,
            "msg_id": None,
            "structured_data": None,
        },
    ]


def test_logfmt_has_a_column_for_each_key_and_true_for_one_alone() -> None:
    lines = (r'level=info msg="a \"b\"\n\u00e9" url=http://x?a=b empty= done', "other=1")

    assert parsed("logfmt", *lines) == [
        {
            "level": "info",
            "msg": 'a "b"\né',
            "url": "http://x?a=b",
            "empty": "",
            "done": "true",
            "other": None,
        },
        dict.fromkeys(("level", "msg", "url", "empty", "done")) | {"other": "1"},
    ]


def test_logfmt_makes_no_columns_of_lines_that_it_refuses() -> None:
    assert parsed("logfmt", "a=1", "b=1 b=2", 'c="') == [
        {"a": "1"},
        "the key b stands twice",
        "not logfmt: key=value, with quotes around a value that holds a space, a quote or an unknown escape",
    ]


def test_cri_keeps_nanoseconds_beside_the_time() -> None:
    at = datetime(2024, 3, 5, 8, 20, 30, 123456, tzinfo=UTC)

    assert parsed(
        "cri", "2024-03-05T10:20:30.123456789+02:00 stdout F  a ", "2024-03-05T08:20:30.123456Z stderr P:x "
    ) == [
        {"timestamp": at, "stream": "stdout", "message": " a ", "nanoseconds": 789},
        {"timestamp": at, "stream": "stderr", "message": "", "nanoseconds": 0},
    ]


@pytest.mark.parametrize(
    ("form", "options", "message"),
    [
        ("combind", {}, "'combind' is no format of log lines; did you mean 'combined'?"),
        ({"regexp": "x"}, {}, "{'regexp': 'x'} is no format of log lines"),
        ("cri", {"multiline": {"start": "x"}}, "cri joins lines by their tags"),
        (
            "lines",
            {"multiline": {"start": "("}},
            "multiline.start: Value error, the pattern is not sound: unclosed group",
        ),
        (
            "syslog_rfc3164",
            {"timezone": "Mars"},
            "timezone: Value error, 'Mars' is no time zone; write UTC or a name such as Europe/Berlin",
        ),
        ("common", {"timezone": "UTC"}, "timezone: Extra inputs are not permitted"),
    ],
)
def test_what_is_no_format_is_refused_with_the_reason(form: Any, options: Any, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        format_from(form, options, where="source.format")
    assert caught.value.message == message
    assert caught.value.where == "source.format"
    assert caught.value.hint
