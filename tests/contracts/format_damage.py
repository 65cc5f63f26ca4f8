"""Damage a file of a format in many ways, and look what reading it gives: run as a process of its own.

``python -m tests.contracts.format_damage FORMAT:FIRST:LAST …`` tries the seeds FIRST to LAST - 1 of each and prints the
outcomes as JSON. A library that ended the process would end this one; the seed is the last line of standard error.
"""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import random
import sys
from collections import Counter
from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal

import pyarrow as pa
import zstandard

from etl.errors import UnreadableFileError
from etl.schema_contract import STRICT
from tests.unit.formats.files import arrow, avro, parquet, read, survey, xlsx

MOMENT = datetime(2024, 1, 1, tzinfo=UTC)
COLUMNS = {
    "id": pa.array(range(30)),
    "s": pa.array([None if row % 7 == 0 else f"n {row}" for row in range(30)]),
    "l": pa.array([[row] * (row % 3) for row in range(30)]),
    "st": pa.array([{"x": row, "y": str(row)} for row in range(30)]),
    "d": pa.array(["a", "b"] * 15).dictionary_encode(),
    "m": pa.array([[("k", row)] for row in range(30)], pa.map_(pa.string(), pa.int64())),
    "t": pa.array([MOMENT] * 30),
    "f": pa.array([row / 3 for row in range(30)]),
}
FLAT = {
    "s": pa.array([random.Random(row).randbytes(60).hex() if row % 7 else None for row in range(700)]),
    "t": pa.array([MOMENT] * 700),
    "f": pa.array([row / 3 for row in range(700)]),
}
"""Large enough, and plain enough, for Polars to read it."""
VIEW = {"v": pa.array(["v" * row for row in range(30)], pa.string_view())}
FIELDS = {
    "id": "long",
    "s": ["null", "string"],
    "l": {"type": "array", "items": "int"},
    "m": {"type": "map", "values": "string"},
    "st": {"type": "record", "name": "q", "fields": [{"name": "x", "type": "int"}]},
    "e": {"type": "enum", "name": "e", "symbols": ["A", "B"]},
    "d": {"type": "bytes", "logicalType": "decimal", "precision": 10, "scale": 2},
    "t": {"type": "long", "logicalType": "timestamp-millis"},
}
RECORDS = [
    {
        "id": row,
        "s": None if row % 5 == 0 else f"n {row}",
        "l": [row] * (row % 3),
        "m": {"k": str(row)},
        "st": {"x": row},
        "e": "AB"[row % 2],
        "d": Decimal(row),
        "t": MOMENT,
    }
    for row in range(30)
]
LINES = b"".join(b"line %d\n" % row for row in range(100))


def whole(name: str) -> list[bytes]:
    """Return the files of a format that are damaged; ``text`` are the compressions."""
    if name == "parquet":
        flat = [parquet(FLAT, compression=codec, write_statistics=False) for codec in ("none", "zstd")]
        return [
            parquet(COLUMNS),
            parquet(COLUMNS, row_group_size=20, data_page_version="2.0", compression="zstd"),
            *flat,
        ]
    if name == "arrow":
        plain = [arrow(COLUMNS | VIEW), arrow(COLUMNS | VIEW, is_stream=True)]
        return [*plain, arrow(COLUMNS, compression="zstd"), arrow(COLUMNS, is_stream=True, compression="lz4")]
    if name == "avro":
        return [avro(FIELDS, RECORDS, codec) for codec in ("null", "deflate", "bzip2", "xz")]
    if name == "xlsx":
        return [xlsx([["a", "b"], *[[row, f"t{row}"] for row in range(10)]])]
    return [compress(LINES) for compress in (gzip.compress, zstandard.compress, bz2.compress, lzma.compress)]


def damaged(content: bytes, chance: random.Random) -> bytes:
    """Return the bytes with some flipped, set, cut out, put in or copied elsewhere."""
    left = bytearray(content)
    for _ in range(chance.choice([1, 1, 1, 2, 5])):
        place = chance.randrange(len(left))
        kind = chance.choice(["flip", "flip", "flip", "set", "cut", "insert", "copy"])
        if kind == "flip":
            left[place] ^= 1 << chance.randrange(8)
        elif kind == "set":
            left[place] = chance.choice([0, 255, 127, 128])
        elif kind == "cut":
            del left[place : place + chance.choice([1, 4, 8, 50, len(left)])]
        elif kind == "insert":
            left[place:place] = chance.randbytes(chance.choice([1, 4, 8]))
        else:
            source = chance.randrange(len(left))
            left[place : place + 8] = left[source : source + 8]
        if not left:
            break
    return bytes(left)


def outcome(name: str, content: bytes, schema: object) -> str:
    """Return what a file gives: rows, rejects, or that it cannot be read; a survey must not find anything else."""
    with suppress(UnreadableFileError):
        survey(name, content, None, STRICT)
    try:
        found = read(name, content, schema, STRICT)
    except UnreadableFileError:
        return "unreadable"
    return "rejects" if found.rejects else "rows"


def outcomes(name: str, first: int, last: int) -> Counter[str]:
    """Return how often each outcome came for the seeds from ``first`` up to, not including, ``last``."""
    files = whole(name)
    schemas = [survey(name, content).schema for content in files]
    found: Counter[str] = Counter()
    for seed in range(first, last):
        chance = random.Random(seed)
        place = chance.randrange(len(files))
        sys.stderr.write(f"\n{name} seed {seed} ")
        sys.stderr.flush()
        found[outcome(name, damaged(files[place], chance), schemas[place])] += 1
    return found


if __name__ == "__main__":
    tries = [each.split(":") for each in sys.argv[1:]]
    sys.stdout.write(json.dumps({name: outcomes(name, int(first), int(last)) for name, first, last in tries}))
