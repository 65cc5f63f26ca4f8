"""Text: a row a line."""

from __future__ import annotations

import io
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, BinaryIO, Literal

from pydantic import Field

from etl.errors import ConfigError
from etl.formats.arrow_rows import Layout
from etl.formats.arrow_types import Evolution
from etl.formats.compressed import decompressed
from etl.formats.contract import Chunk, FileOpener, Task
from etl.formats.text_lines import Faulty, Piece, pieces
from etl.options import Options
from etl.rejects import rejects
from etl.schema import to_polars
from etl.schema_contract import EVOLVE, SchemaContract, Survey

if TYPE_CHECKING:
    import polars as pl

    from etl.model import Schema

_FOUND: Schema = {"line": "string"}


class TextOptions(Options):
    """How text is written."""

    encoding: Literal["utf-8", "latin-1", "windows-1252"] = Field(default="utf-8", description="How text is encoded.")


class Text:
    """Reads every line as a row, ``line: string``: without its LF or CR LF, else as it is; a blank one is empty text.

    A line that is no text in the encoding, or too long, is set aside.
    """

    options_model = TextOptions

    def __init__(self, options: TextOptions | None = None, contract: SchemaContract = EVOLVE) -> None:
        self.options = options or TextOptions()
        self._contract = contract

    def tasks(self, file: FileOpener, schema: Schema, wide: frozenset[str] = frozenset()) -> Iterator[Task]:  # noqa: ARG002  text has no numbers
        """Return the one task of the file. Raises ConfigError for a ``line`` that is not text."""
        if schema.get("line", "string") != "string":
            raise ConfigError("`line` is text", where=file.path, hint="declare it as string, and cast what is in it")
        yield lambda: self._chunks(file, schema)

    def survey(self, file: FileOpener, known: Survey | None) -> Survey:
        """Return ``known`` with ``line``, having read the file: damage must not pass unseen."""
        before = known or Survey(_FOUND)
        evolution = Evolution(self._contract, before.wide, file.path)
        layout = Layout(before.schema, _FOUND, evolution)
        layout.check_failing()
        with file.open() as opened:
            stream = decompressed(opened, file.path)
            while stream.read(file.chunk_bytes):
                pass
        schema = before.schema if layout.fault else evolution.schema(before.schema, _FOUND)
        return Survey(schema, before.wide, before.unreadable)

    def _chunks(self, file: FileOpener, schema: Schema) -> Iterator[Chunk]:
        layout = Layout(schema, _FOUND, Evolution(self._contract, frozenset(), file.path))
        layout.check()
        with file.open() as opened:
            for piece in pieces(_stream(opened, file), file, self.options.encoding):
                yield _set_aside(piece, layout) if layout.fault else _chunk(piece, layout)


def _stream(opened: BinaryIO, file: FileOpener) -> BinaryIO:
    return decompressed(opened, file.path)


def _chunk(piece: Piece, layout: Layout) -> Chunk:
    import polars as pl

    lines = (
        pl.read_lines(io.BytesIO(piece.text), name="line") if piece.text else pl.DataFrame(schema={"line": pl.String})
    )
    if layout.rescued:
        frame = layout.chunk(lines.to_arrow().combine_chunks().to_batches()[0], 0).frame if lines.height else None
    else:
        frame = lines
    dtypes = to_polars(layout.schema)
    if frame is None:
        frame = pl.DataFrame(schema=dtypes)
    absent = [pl.lit(None, dtype).alias(name) for name, dtype in dtypes.items() if name not in frame.columns]
    whole = frame.with_columns(absent).select(list(dtypes))
    return Chunk(whole, lines.height, partial(_places, piece), _rejected(piece.faulty))


def _places(piece: Piece) -> pl.Series:
    import polars as pl

    return pl.Series("_source_offset", piece.starts(), pl.Int64)


def _set_aside(piece: Piece, layout: Layout) -> Chunk:
    """Return a piece of which no line may pass, by what is wrong with the whole file."""
    import polars as pl

    rule, reason = layout.fault or ("new_column", "")
    good = [Faulty(start, number, raw, rule, reason) for start, number, raw in piece.lines()]
    every = sorted([*good, *piece.faulty], key=lambda fault: fault.start)
    frame = pl.DataFrame(schema=to_polars(layout.schema))
    return Chunk(frame, 0, lambda: pl.Series("_source_offset", [], pl.Int64), _rejected(every))


def _rejected(faulty: list[Faulty]) -> Any:  # noqa: ANN401  polars is imported late
    if not faulty:
        return None
    found = rejects(
        [
            {"raw": each.raw, "_source_offset": each.start, "line": each.line, "rule": each.rule, "reason": each.reason}
            for each in faulty
        ]
    )
    return found.drop("_source_file")
