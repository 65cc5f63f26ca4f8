"""Every log format against a slow parser of its own, over many lines, good ones and spoilt ones."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import polars as pl
import pytest

from etl.formats.log_formats import format_from
from etl.formats.log_records import Parsed
from tests.unit.formats.log_oracles import REFERENCE, NoMatchError, access, cri, logfmt, rfc3164, rfc5424

PIECE = 500
SIGNS = [*' "[]\\-=:.,<>/0123456789TZPFab', "é", "\t", "\n", "\x00", "\ufeff", "\u00a0"]

AGENTS = ["-", "Mozilla/5.0 (X11; Linux)", r"a \\", r"a \" b"]

Oracle = Callable[[str], dict[str, Any]]


def quoted(draw: random.Random, texts: list[str]) -> str:
    return f'"{draw.choice(texts)}"'


def access_line(draw: random.Random, *, is_combined: bool) -> str:
    address = draw.choice(["1.2.3.4", "::1", "2001:db8::ff00:42:8329", "host.example.org", "-"])
    user = draw.choice(["-", "-", "ada", "ada king", "a [b] c", '""'])
    day = (
        f"{draw.randint(1, 31):02}/{draw.choice(['Jan', 'Feb', 'May', 'Dec', 'may'])}/{draw.choice([2015, 2024, 999])}"
    )
    time = (
        f"{day}:{draw.randint(0, 24):02}:05:{draw.randint(0, 60):02} {draw.choice(['+0000', '+0200', '-0330', 'UTC'])}"
    )
    requests = [
        "GET /a/b?c=d HTTP/1.1",
        "POST /x HTTP/2",
        "-",
        "",
        r"\x16\x03\x01",
        r"GET /\"q\" HTTP/1.0",
        "GET /a b HTTP/1.1",
    ]
    status = draw.choice(["200", "404", "-", "000", "abc", "9223372036854775807", "9223372036854775808"])
    size = draw.choice(["-", "0", str(draw.randint(0, 10**9)), "99999999999999999999"])
    line = f"{address} - {user} [{time}] {quoted(draw, requests)} {status} {size}"
    if is_combined:
        line += f" {quoted(draw, ['-', '', 'http://a/?b=c', 'http://é/'])}"
        line += f" {quoted(draw, AGENTS)}"
    return line


def iso_time(draw: random.Random) -> str:
    day = f"{draw.choice([2024, 2023, 1970])}-{draw.randint(0, 12):02}-{draw.randint(1, 31):02}"
    fraction = draw.choice(["", ".1", ".123456", ".1234567", ".123456789", f".{draw.randint(0, 999_999_999):09}"])
    return (
        f"{day}T{draw.randint(0, 24):02}:00:{draw.randint(0, 60):02}{fraction}{draw.choice(['Z', '+01:00', '-11:30'])}"
    )


def rfc3164_line(draw: random.Random) -> str:
    months = ["Jan", "Feb", "Mar", "Apr", "Dec"]
    clock = f"{draw.randint(0, 24):02}:{draw.randint(0, 60):02}:07"
    time = f"{draw.choice(months)} {draw.choice([f'{draw.randint(1, 31):2}', f'{draw.randint(0, 9):02}', '7'])} {clock}"
    pri = draw.choice(["", "", f"<{draw.randint(0, 200)}>", "<007>"])
    tags = [
        "su: ",
        "kernel:",
        "CRON[12]: ",
        "a/b.c[x-1]:  ",
        "",
        "last message repeated 2 times",
        "-: ",
        "x[]: ",
        "x[1] ",
    ]
    host = draw.choice(["host", "a.b", "-"])
    return f"{pri}{draw.choice([time, time, time, iso_time(draw)])} {host} {draw.choice(tags)}it is 5:30"


def rfc5424_line(draw: random.Random) -> str:
    data = [
        "-",
        "[a]",
        '[a b="c"]',
        '[a@1 b="" b="2"][d e="f g"]',
        r'[a b="\"\\\]\x"]',
        '[a b="]"]',
        "[]",
        '[a b="é\n"]',
    ]
    words = " ".join(draw.choice(["-", "app", "7"]) for _ in range(4))
    time = draw.choice(["-", iso_time(draw), iso_time(draw)])
    message = draw.choice(["", " ", " text", " \ufefftext", " [no] data", "x"])
    version = draw.choice(["1", "1", "1", "12", "01"])
    return f"<{draw.choice([0, 13, 191, 192])}>{version} {time} {words} {draw.choice(data)}{message}"


def logfmt_line(draw: random.Random) -> str:
    values = [
        "x",
        "",
        "http://a?b=c",
        '"a b"',
        '""',
        r'"\"q\" \\ \n \u00e9"',
        r'"\ud83d\ude00"',
        r'"\ud800"',
        r'"\x"',
        '"',
    ]
    keys = ["level", "msg", "é", "a.b", "k-1", "took"]
    pairs = [f"{key}={draw.choice(values[:6])}" for key in draw.sample(keys, draw.randint(1, 4))]
    pairs += draw.choice([[], [], ["done"], [f"z={draw.choice(values)}"], ["level=twice"]])
    return draw.choice([" ", " ", "  ", "\t"]).join(pairs)


def cri_line(draw: random.Random) -> str:
    tag = draw.choice(["F", "F", "P", "F:x", "X"])
    return f"{iso_time(draw)} {draw.choice(['stdout', 'stderr', 'stdin'])} {tag} {draw.choice(['', 'text', ' a  b '])}"


def spoilt(draw: random.Random, line: str) -> str:
    at, sign = draw.randrange(len(line) + 1), draw.choice(SIGNS)
    ways: list[str] = [
        line[:at] + sign + line[at:],
        line[:at] + sign + line[at + 1 :],
        line[:at] + line[at + 1 :],
        line[:at],
    ]
    return draw.choice(ways)


def lines_of(make: Callable[[random.Random], str], count: int) -> Iterator[str]:
    """Yield lines, half of them with a sign too many, too few or changed."""
    draw = random.Random(count)
    for _ in range(count):
        line = make(draw)
        yield line if draw.random() < 0.5 else spoilt(draw, line) or "x"


def told(oracle: Oracle, line: str) -> dict[str, Any] | None:
    try:
        return oracle(line)
    except NoMatchError:
        return None


CASES: dict[str, tuple[Callable[[random.Random], str], Oracle]] = {
    "common": (partial(access_line, is_combined=False), partial(access, is_combined=False)),
    "combined": (partial(access_line, is_combined=True), partial(access, is_combined=True)),
    "syslog_rfc3164": (rfc3164_line, rfc3164),
    "syslog_rfc5424": (rfc5424_line, rfc5424),
    "logfmt": (logfmt_line, logfmt),
    "cri": (cri_line, cri),
}


@pytest.mark.parametrize("count", [10_000, pytest.param(50_000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", CASES)
def test_a_line_says_what_a_plain_parser_finds_or_is_refused_by_both(name: str, count: int) -> None:
    make, oracle = CASES[name]
    lines = list(lines_of(make, count))

    parser = format_from(name).way.parser

    refused = 0
    for first in range(0, count, PIECE):
        piece = lines[first : first + PIECE]
        refused += differences(piece, parser.parse(pl.Series(piece), REFERENCE), oracle)
    assert count // 10 < refused < count * 9 // 10


def differences(lines: list[str], parsed: Parsed, oracle: Oracle) -> int:
    """Compare each line with what the oracle says; return how many are refused."""
    columns, reasons = parsed.frame.columns, parsed.reasons
    nothing = dict.fromkeys(columns)
    assert reasons is not None
    for line, row, reason in zip(lines, parsed.frame.iter_rows(), reasons, strict=True):
        expected = told(oracle, line)
        assert (expected is None) == (reason is not None), line
        assert dict(zip(columns, row, strict=True)) == nothing | (expected or {}), line
    return len(reasons.drop_nulls())


PATTERNS = [
    r"(?P<ip>[0-9.]+|-) (?P<user>\S+) (?P<rest>.*)",
    r"(?:<(?P<pri>[0-9]{1,3})>)?(?P<a>[a-z]*) ?(?P<b>[A-Z]+)?.*",
    r"(?P<all>(?:[^ ]* ?)*)",
]


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_regex_gives_the_groups_that_another_engine_finds(pattern: str) -> None:
    lines = [*lines_of(partial(access_line, is_combined=True), 2_000), *lines_of(rfc3164_line, 2_000)]
    other = re.compile(pattern, re.ASCII)

    parsed = format_from({"regex": pattern}).way.parser.parse(pl.Series(lines), None)

    for line, row, bad in zip(lines, parsed.frame.iter_rows(named=True), parsed.is_bad, strict=True):
        found = other.fullmatch(line)
        assert (found is None) == bad, line
        assert row == (found.groupdict() if found else dict.fromkeys(row)), line
