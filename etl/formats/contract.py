"""What a format is: bytes in, rows out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, BinaryIO, Protocol, TypeAlias

if TYPE_CHECKING:
    import polars as pl

    from etl.model import Schema
    from etl.schema_contract import Survey

CHUNK_BYTES = 4_000_000
"""How much of a file is read and parsed at a time; memory per worker is a small multiple of it."""

MAX_LINE_BYTES = 64_000_000
"""The longest line of NDJSON or record of CSV; a longer one is a RowError."""


@dataclass(frozen=True, slots=True)
class FileOpener:
    """A file to be read: ``path`` for messages, its size, and how to open it (once per task, from the task's thread).

    The file object must be able to seek. ``chunk_bytes`` and ``max_line_bytes`` bound the memory of one task.
    ``modified_at`` (aware UTC, of the plan) is None where nobody knows it.
    """

    path: str
    size_bytes: int
    open: Callable[[], BinaryIO]
    chunk_bytes: int = CHUNK_BYTES
    max_line_bytes: int = MAX_LINE_BYTES
    modified_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some consecutive rows of a file.

    ``frame`` has exactly the columns of the reading schema, in order; ``rows`` is its height, which a frame without
    columns does not tell. ``offsets`` (Int64, one per row, rising, named ``_source_offset``) is the
    byte where the row's line starts in the uncompressed NDJSON file, or the row's number, from 0, in a CSV or Parquet
    file. ``rejects`` are the rows beside them that were set aside, as ``etl.rejects.reject_schema`` says, without
    ``_source_file``; None where every row is in ``frame``. ``wide`` are integer fields in which ``frame`` has a number
    beyond 2**53, as in a Survey; looked for only where the contract lets integers become floats.
    """

    frame: pl.DataFrame
    rows: int
    locate: Callable[[], pl.Series]
    rejects: pl.DataFrame | None = None
    wide: frozenset[str] = frozenset()

    @property
    def offsets(self) -> pl.Series:
        """Where each row is; found only when asked for."""
        return self.locate()


def numbers(first: int, rows: int) -> pl.Series:
    """Return the numbers of consecutive rows, as ``_source_offset``."""
    import polars as pl

    return pl.int_range(first, first + rows, eager=True).alias("_source_offset")


Task: TypeAlias = Callable[[], Iterator[Chunk]]
"""A part of a file that can be read on its own, in any thread. *Repeat*: gives the same chunks again."""


class Format(Protocol):
    """One way to write rows as bytes. Immutable; called from several threads.

    Made with its options and the schema contract of its source. Every row of a file comes out once: in a chunk's frame
    or in its rejects.
    """

    def tasks(self, file: FileOpener, schema: Schema, wide: frozenset[str] = frozenset()) -> Iterator[Task]:
        """Return the parts of a file in order; their chunks, one after the other, are the file's rows in order.

        ``schema`` is the reading schema: columns are matched by name; where the contract rescues it ends with
        ``_rescued_data``, which this fills. Raises (here or while a task runs) SchemaDriftError for what the contract
        lets evolve, RowError where it says ``fail``, UnreadableFileError for a file that cannot be read as a whole.
        """

    def survey(self, file: FileOpener, known: Survey | None) -> Survey:
        """Return ``known`` evolved by the whole file, as far as the contract allows; None is the first look of all.

        The result is that of taking the rows one by one in their order. Raises as ``tasks``.
        """
