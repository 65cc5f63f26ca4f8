"""A format as small as one can be: a number a line, as ``n=5``. Anything else on a line is rejected, alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import polars as pl

from etl.errors import UnreadableFileError
from etl.formats.contract import Chunk, FileOpener, Task
from etl.model import Schema
from etl.rejects import rejects
from etl.schema import to_polars
from etl.schema_contract import Survey


class Numbers:
    """Reads numbers, two lines a chunk. ``most`` is the largest that is taken."""

    def __init__(self, most: int = 1_000_000) -> None:
        self._most = most

    def tasks(self, file: FileOpener, schema: Schema, wide: frozenset[str] = frozenset()) -> Iterator[Task]:
        yield lambda: self._chunks(file, schema)

    def survey(self, file: FileOpener, known: Survey | None) -> Survey:
        before = known or Survey({})
        return replace(before, schema={**before.schema, "n": "int64"})

    def _chunks(self, file: FileOpener, schema: Schema) -> Iterator[Chunk]:
        with file.open() as opened:
            content = opened.read()
        if b"\0" in content:
            raise UnreadableFileError(file.path, "holds NUL")
        lines, offset = [], 0
        for number, line in enumerate(content.splitlines(keepends=True), start=1):
            lines.append((offset, number, line.rstrip(b"\n")))
            offset += len(line)
        for at in range(0, len(lines), 2):
            yield self._chunk(lines[at : at + 2], schema)

    def _chunk(self, lines: list[tuple[int, int, bytes]], schema: Schema) -> Chunk:
        good: list[tuple[int, int]] = []
        bad: list[dict[str, Any]] = []
        for offset, number, line in lines:
            value = line.removeprefix(b"n=")
            if line.startswith(b"n=") and value.isdigit() and int(value) <= self._most:
                good.append((offset, int(value)))
            elif line:  # a blank line is no row
                reason = (
                    f"{value.decode('utf-8', 'replace')} is more than {self._most}" if value.isdigit() else "no number"
                )
                bad.append({"raw": line, "_source_offset": offset, "line": number, "rule": "syntax", "reason": reason})
        dtypes = to_polars(schema)
        frame = pl.DataFrame({"n": [value for _, value in good]}, schema={"n": pl.Int64})
        frame = frame.with_columns(pl.lit(None, dtype).alias(name) for name, dtype in dtypes.items() if name != "n")
        places = pl.Series("_source_offset", [offset for offset, _ in good], dtype=pl.Int64)
        return Chunk(frame.select(list(dtypes)), len(good), lambda: places, rejects(bad).drop("_source_file"))
