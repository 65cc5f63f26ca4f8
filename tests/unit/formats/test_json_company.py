"""What becomes of a line does not depend on the lines beside it: the fast path and the look at single rows agree."""

from __future__ import annotations

import random

import pytest

from etl.schema_contract import STRICT
from tests.unit.formats.json_oracle import TOKENS
from tests.unit.formats.json_reading import Read, read

TYPES = (
    *("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float32", "float64", "boolean"),
    *(
        "string",
        "binary",
        "date",
        "timestamp",
        "timestamp(UTC)",
        "time",
        "decimal(5,2)",
        "decimal(38,0)",
        "decimal(3,3)",
    ),
)
TEXTS = [
    *("2024-02-29", "2023-02-29", "2024-1-2", "20240102", "0001-01-01", "9999-12-31", "10000-01-01"),
    *("-0001-01-01", "2024-01-02T03:04:05", "2024-01-02 03:04:05", "2024-01-02T03:04", "2024-01-02T03", "2024-01-02T"),
    *("2024-01-02T03:04:05Z", "2024-01-02T03:04:05z", "2024-01-02T03:04:05+02:00", "2024-01-02T03:04:05+0200"),
    *("2024-01-02T03:04:05+02", "2024-01-02T03:04:05+25:00", "2024-01-02T03:04:05-00:00", "2024-01-02T24:00:00"),
    *("2024-01-02T03:04:60", "2024-01-02T03:04:05.1", "2024-01-02T03:04:05.123456", "2024-01-02T03:04:05.1234567"),
    *("2024-01-02T03:04:05.", "2024-01-02T03:04:05,5", " 2024-01-02", "2024-01-02 ", "2024-01-02T03:04:05 Z", ""),
    *("03:04:05", "03:04", "03", "3:04:05", "24:00:00", "23:59:59.999999", "23:59:60", "03:04:05Z", "-03:04:05"),
    *("1", "1.2", "+1.2", "01.20", "1.", ".5", "1e2", "1E-2", "1_0", "0x1", "NaN", "inf", "--1", "1e999999999999", "٣"),
    *("999.99", "1000", "0.999", "99999999999999999999999999999999999999", "100000000000000000000000000000000000000"),
]
NUMBERS = [
    *("1", "-1", "0", "-0", "127", "128", "-128", "-129", "255", "256", "65535", "65536", "2147483648", "4294967295"),
    *("18446744073709551615", "18446744073709551616", "16777216", "16777217", "3.4028234663852886e38", "3.5e38"),
    *("1.2", "1.200", "1.234", "999.99", "1000", "1e2", "1e3", "12e-1", "1e-3", "0.999", "1e-400", "1e999999999999"),
    *("99999999999999999999999999999999999999", "100000000000000000000000000000000000000", "1.0", "0e0", "123456.5"),
]


@pytest.mark.parametrize("kind", TYPES)
def test_line_by_itself_and_among_bad_ones_has_the_same_fate(kind: str) -> None:
    values = [*(f'"{text}"' for text in TEXTS), *NUMBERS, *TOKENS]
    for tree in (kind, {"list": kind}) if kind in ("date", "float64", "int64") else (kind,):
        lines = [
            line
            for value in values
            if (line := (f'{{"x":{value}}}' if tree == kind else f'{{"x":[null,{value}]}}').encode()).strip()
        ]
        alone = [_fate(read(line + b"\n", {"x": tree}, STRICT)) for line in lines]
        random.Random(kind).shuffle(order := list(range(len(lines))))
        found = read(b"".join(b"bad\n" + lines[place] + b"\n" for place in order), {"x": tree}, STRICT)
        rejected = {line // 2 - 1: (rule, raw) for _, line, rule, raw in found.rejects if raw != b"bad"}
        rows = iter(found.rows)
        together = {place: rejected.get(at) or repr(next(rows)[0]) for at, place in enumerate(order)}
        assert [together[place] for place in range(len(lines))] == alone
        assert 0 < len(found.rows) < len(lines)


def _fate(found: Read) -> object:
    return repr(found.rows[0][0]) if found.rows else found.rejects[0][2:]
