from __future__ import annotations

from typing import Any

import polars as pl
import pytest

from etl.errors import ConfigError
from etl.formats.grok import grok
from etl.formats.grok_patterns import PATTERNS
from etl.formats.patterned import regex
from tests.unit.formats.log_files import parsed

LOOK_AROUND = "look-around, including look-ahead and look-behind, is not supported"
COMBINED = '1.2.3.4 - ada [05/Mar/2024:10:20:30 +0200] "GET /a HTTP/1.1" 200 12 "-" "curl/8"'


def test_a_group_that_takes_no_part_is_null_and_one_that_is_empty_is_empty() -> None:
    assert parsed({"regex": "(?:<(?P<pri>[0-9]+)>)?(?<rest>.*)"}, "", "<7>x") == [
        {"pri": None, "rest": ""},
        {"pri": "7", "rest": "x"},
    ]


def test_a_match_without_any_group_is_a_row_of_nulls_and_no_fault() -> None:
    assert parsed({"regex": "(?P<a>a)?(?P<b>b)?"}, "", "x") == [
        {"a": None, "b": None},
        "the pattern does not match the whole line",
    ]


def test_a_pattern_must_match_the_whole_line_so_that_nothing_is_cut_off() -> None:
    assert parsed({"regex": "(?P<n>[0-9]+)|(?P<w>[a-z]+)"}, "12", "ab", "12ab") == [
        {"n": "12", "w": None},
        {"n": None, "w": "ab"},
        "the pattern does not match the whole line",
    ]


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("(", "the pattern is not sound: unclosed group"),
        ("a.*", "the pattern names no group"),
        ("(?P<a>x)(?P<a>y)", "the pattern is not sound: duplicate capture group name"),
        (
            "(?=(?P<a>x))",
            "the pattern is not sound: look-around, including look-ahead and look-behind, is not supported",
        ),
        (r"(?P<a>x)\1", "the pattern is not sound: backreferences are not supported"),
        ("(?P<a>x{1001})", "the pattern repeats something 1001 times"),
        (r"(?P<a>(?:\w{100}){100})", "the pattern is not sound: Compiled regex exceeds size limit of 10485760 bytes."),
        ("(?P<a>" + "x" * 20_000 + ")", "the pattern has 20007 signs, more than 20000"),
    ],
)
def test_a_pattern_that_the_engine_cannot_take_is_refused(pattern: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        regex(pattern)
    assert caught.value.message == message
    assert caught.value.hint


CATASTROPHIC = ["(?P<a>(a+)+)b", "(?P<a>(a|aa)+)b", "(?P<a>(.*)*)b", "(?P<a>(a*)*(a*)*)b", "(?P<a>(a|a?)+)b"]


@pytest.mark.parametrize("pattern", CATASTROPHIC)
def test_a_pattern_that_makes_other_engines_hang_ends_on_a_long_line(pattern: str) -> None:
    long = "a" * 100_000

    assert parsed({"regex": pattern}, long, long + "b") == [
        "the pattern does not match the whole line",
        {"a": long},
    ]


@pytest.mark.parametrize("name", PATTERNS)
def test_every_pattern_of_the_library_is_one_for_the_engine(name: str) -> None:
    assert grok(f"%{{{name}:whole_}}").schema["whole_"] == "string"


def test_the_library_reads_an_access_log_as_everybody_knows_it() -> None:
    assert parsed({"grok": "%{COMBINEDAPACHELOG}"}, COMBINED) == [
        {
            "clientip": "1.2.3.4",
            "ident": "-",
            "auth": "ada",
            "timestamp": "05/Mar/2024:10:20:30 +0200",
            "verb": "GET",
            "request": "/a",
            "httpversion": "1.1",
            "rawrequest": None,
            "response": "200",
            "bytes": "12",
            "referrer": '"-"',
            "agent": '"curl/8"',
        }
    ]


EXAMPLES = [
    ("IP", ["1.2.3.4", "::1", "fe80::1%eth0", "1:2:3:4:5:6:7:8", "::ffff:1.2.3.4"], ["1.2.3.256", "1.2.3", ":::"]),
    ("NUMBER", ["1", "-1.5", ".5", "5."], ["1e3", "-", "1,5"]),
    ("TIMESTAMP_ISO8601", ["2024-03-05T10:20:30.123+02:00", "2024-03-05 10:20", "2024-03-05T10:20:30Z"], ["10:20:30"]),
    ("SYSLOGTIMESTAMP", ["Mar  5 10:20:30", "Dec 31 23:59:59"], ["2024-03-05"]),
    ("UUID", ["123e4567-e89b-12d3-a456-426614174000"], ["123e4567"]),
    ("QS", ['"a \\" b"', "'x'"], ['"a', "a"]),
    ("URI", ["http://user:pw@host:80/a/b?c=d", "ftp://[x"[:6]], ["/a"]),
    ("MAC", ["00:1B:44:11:3A:B7", "001B.4411.3AB7"], ["00:1B"]),
    ("LOGLEVEL", ["INFO", "warning", "ERR"], ["info!", "LOUD"]),
    ("PATH", ["/var/log/x.log", "C:\\a\\b"], ["a/b c"]),
]


@pytest.mark.parametrize(("name", "matching", "others"), EXAMPLES)
def test_a_pattern_of_the_library_takes_what_its_name_says(name: str, matching: list[str], others: list[str]) -> None:
    found = grok(f"%{{{name}:x}}").parse(pl.Series([*matching, *others]))

    assert found.is_bad.to_list() == [False] * len(matching) + [True] * len(others)
    assert found.frame["x"].to_list() == [*matching, *[None] * len(others)]


def test_grok_gives_numbers_their_types_and_nested_names_a_dot() -> None:
    pattern = "%{IP:[client][ip]} %{NUMBER:took:float} %{INT:n:int} (?<rest>.*)"

    assert parsed({"grok": pattern}, "::1 1.5 +7 x", "::1 1.5 9223372036854775808 x", "::1 1.5 7") == [
        {"client.ip": "::1", "took": 1.5, "n": 7, "rest": "x"},
        "n: 9223372036854775808 is no int64",
        "the pattern does not match the whole line",
    ]


def test_patterns_of_the_user_go_before_those_of_the_library() -> None:
    options = {"patterns": {"WORD": "[a-z]+", "PAIR": "%{WORD:key}=%{REST:value}", "REST": ".*"}}

    assert parsed({"grok": "%{PAIR}"}, "ab=1", "AB=1", options=options) == [
        {"key": "ab", "value": "1"},
        "the pattern does not match the whole line",
    ]


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("%{IPP:x}", "unknown pattern IPP; did you mean 'IP'?"),
        ("%{IP}", "the pattern names no column"),
        ("%{IP:x:integer}", "x: unknown type 'integer'; did you mean 'int'?"),
        ("%{A:x}", "the pattern A leads back to itself: A → B → A"),
        ("%{IP:x} %{IP:x}", "the column x is named twice"),
        ("%{C:x}", "the pattern, spelt out, has more than 20000 signs"),
        (
            "(?=a)%{WORD:x}",
            f"the pattern, spelt out, is not sound: {LOOK_AROUND}",
        ),
    ],
)
def test_a_grok_pattern_that_cannot_be_spelt_out_is_refused(pattern: str, message: str) -> None:
    doubled: dict[str, Any] = {f"D{n}": f"%{{D{n + 1}}}%{{D{n + 1}}}" for n in range(20)}
    patterns = {"A": "%{B}", "B": "x%{A}", "C": "%{D0}", "D20": "abcdefgh"} | doubled

    with pytest.raises(ConfigError) as caught:
        grok(pattern, patterns)
    assert caught.value.message == message
    assert caught.value.hint
