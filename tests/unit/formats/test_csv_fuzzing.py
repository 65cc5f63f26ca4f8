"""Mutated CSV against Python's csv module: a record is what that and its declared types say, or it is rejected."""

from __future__ import annotations

import csv
import math
import random
import re
from typing import Any

import pytest

from tests.unit.formats.csv_reading import Outcome, read

SCHEMA = {"id": "string", "n": "int32", "f": "float64", "b": "boolean", "t": "string", "z": "string"}
NAMES = list(SCHEMA)
STRAY = "a quote inside an unquoted field, below a quoted field that was not closed"
RETURN = "a carriage return alone, neither a line end nor inside quotes"
FIELDS = {
    "id": ["r1", "x\x01", "\ufeffa", "", '""', '"a,b"', "é", "\u2028", "a\x00b", "007"],
    "n": [
        "1",
        "007",
        "+1",
        " 5",
        "6\t",
        "-0",
        "",
        '""',
        '"7"',
        "2147483648",
        "1.0",
        "1e3",
        "0x10",
        "1_0",
        "٣",
        "abc",
        "--1",
    ],
    "f": [
        "1",
        "1.5",
        "1e400",
        "-inf",
        "nan",
        "9007199254740993",
        "9007199254740994",
        ".5",
        "5.",
        "1e-400",
        "1,5",
        "",
        "1e308",
        "-9007199254740993",
        "0x1p3",
        "+3",
    ],
    "b": ["true", "FALSE", "1", "0", "", "yes", "tRue", '"true"', " false"],
    "t": [
        "x",
        "",
        '""',
        '"x,y"',
        '"x\ny"',
        '"x""y"',
        '"""x"""',
        '5" pipe',
        '"x\r\ny"',
        '"x\ry"',
        "NA",
        " ",
        '"',
        '"a"b',
        'a"b"c',
    ],
    "z": ["x", "", '""', '"x,y"', '"x\ny"', '""""', 'x"', "é" * 3, "x" * 40, '"end', "NULL"],
}
SIGNS = [",", '"', "\n", "\r", "\r\n", " ", "1", "x", "é", "\x00", '""', ",,", ";"]


def mutated(seed: int, records: int, share: float) -> bytes:
    """Return a file of which ``share`` of the records have been tampered with."""
    chance = random.Random(seed)
    end = chance.choice(["\n", "\n", "\r\n"])
    plain = {name: fields[: 3 if name in "nfb" else 2] for name, fields in FIELDS.items()}
    lines = [",".join(NAMES)]
    for _ in range(records):
        pool = FIELDS if chance.random() < share else plain
        line = ",".join(chance.choice(pool[name]) for name in NAMES)
        if chance.random() < share / 2:
            place = chance.randrange(len(line) + 1)
            line = line[:place] + chance.choice([*SIGNS, ""]) + line[place + chance.choice([0, 1]) :]
        lines.append(line)
    content = end.join(lines).encode() + chance.choice([b"", end.encode()])
    if chance.random() < share:
        place = chance.randrange(len(",".join(NAMES)) + 2, len(content))
        content = content[:place] + chance.choice([b"\xff", b"\xc3", b"\xed\xa0\x80"]) + content[place:]
    return content


def declared(text: str, kind: str) -> Any:
    """Return the value that the documented rule gives a text; raises ValueError where it is none."""
    if kind == "string":
        return text
    bare = text.strip(" \t")
    if not bare:
        return ""
    if kind == "boolean":
        return {"true": True, "1": True, "false": False, "0": False}[bare.lower()]
    if kind == "int32":
        if not re.fullmatch(r"[+-]?[0-9]+", bare) or not -(2**31) <= int(bare) < 2**31:
            raise ValueError(text)
        return int(bare)
    if not re.fullmatch(
        r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?|[+-]?(inf|infinity|nan)", bare, re.IGNORECASE
    ):
        raise ValueError(text)
    value = float(bare)
    if math.isinf(value) and "inf" not in bare.lower():
        raise ValueError(text)
    if re.fullmatch(r"[+-]?[0-9]+", bare) and int(value) != int(bare):
        raise ValueError(text)
    return value


def expected(record: list[str]) -> list[Any] | None:
    """Return the values of a record, None where it must be rejected."""
    if len(record) != len(NAMES):
        return None
    try:
        return [declared(text, SCHEMA[name]) for text, name in zip(record, NAMES, strict=True)]
    except (ValueError, KeyError):
        return None


def same(found: Any, value: Any) -> bool:
    """Tell whether two values are the same; csv does not tell null from empty text."""
    if isinstance(value, float) and math.isnan(value):
        return isinstance(found, float) and math.isnan(found)
    return type(found or "") is type(value or "") and (found if found is not None else "") == value


def check(content: bytes, found: Outcome) -> int:
    """Walk through the file line by line beside what was read; return how many records it holds."""
    lines = content.decode("utf-8", "surrogateescape").removeprefix("\ufeff").split("\n")
    lines = [line + "\n" for line in lines[:-1]] + ([lines[-1]] if lines[-1] else [])
    rejects = {reject[2]: reject for reject in found.rejects}
    rows = {row[-1]: row[:-1] for row in found.rows}
    assert len(rejects) + len(rows) == len(found.rejects) + len(found.rows)
    place, number = 1, 0
    while place < len(lines):
        if lines[place] in ("\n", "\r\n"):
            assert place + 1 not in rejects
            place += 1
            continue
        reader = csv.reader(lines[place : place + 400], strict=True)
        try:
            record: list[str] | None = next(reader)
        except csv.Error:
            record = None
        values = None if record is None else expected(record)
        reject = rejects.pop(place + 1, None)
        if reject is not None:
            raw, reason = reject[0].decode("utf-8", "surrogateescape"), reject[4]
            assert "".join(lines[place:]).startswith(raw)
            assert len("".join(lines[:place]).encode("utf-8", "surrogateescape")) == reject[1]
            assert values is None or reject[3] == "encoding" or reason in (STRAY, RETURN), (values, reject)
            place += raw.count("\n") + 1
        else:
            assert values is not None, (record, rows.get(number))
            assert all(same(*pair) for pair in zip(rows.pop(number), values, strict=True)), (number, values)
            place += reader.line_num
        number += 1
    assert not rows
    assert not rejects
    return number


@pytest.mark.parametrize("share", [0.02, 0.3, 1.0])
def test_each_of_many_mutated_records_is_what_csv_says_or_rejected(share: float) -> None:
    records = sum(
        check(content, read(content, SCHEMA)) for seed in range(60) for content in [mutated(seed, 300, share)]
    )

    assert records > 16_500


@pytest.mark.parametrize("max_line_bytes", [60, 64_000_000])
@pytest.mark.parametrize("share", [0.3, 1.0])
def test_any_chunk_size_gives_the_same_rows_and_rejects(share: float, max_line_bytes: int) -> None:
    for seed in range(2):
        content = mutated(seed, 20, share)
        whole = read(content, SCHEMA, max_line_bytes=max_line_bytes)
        for chunk_bytes in (1, 16, 100, 300):
            found = read(content, SCHEMA, chunk_bytes=chunk_bytes, max_line_bytes=max_line_bytes)
            assert repr(found) == repr(whole), (seed, chunk_bytes)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1000, 1020))
def test_a_long_sweep_of_mutations_and_chunk_sizes(seed: int) -> None:
    content = mutated(seed, 2_000, random.Random(seed).choice([0.02, 0.1, 0.5, 1.0]))
    whole = read(content, SCHEMA)

    assert check(content, whole) > 1_500
    for chunk_bytes in (100, 1_024, 10_000, 65_536):
        assert repr(read(content, SCHEMA, chunk_bytes=chunk_bytes)) == repr(whole)
