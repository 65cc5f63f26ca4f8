"""Bytes in, rows out: one module per format."""

from __future__ import annotations

from typing import Any

from etl.errors import ConfigError
from etl.formats.contract import Chunk, FileOpener, Format, Task
from etl.formats.delimited import Csv, Tsv
from etl.formats.log_formats import LOG_FORMATS
from etl.formats.ndjson import Ndjson
from etl.formats.parquet import Parquet

FORMATS: dict[str, type[Any]] = {
    "ndjson": Ndjson,
    "csv": Csv,
    "tsv": Tsv,
    "parquet": Parquet,
    **LOG_FORMATS,
}
"""Every format by its name in pipeline files; ``options_model`` of each is what ``format_options`` may hold."""

_EXTENSIONS = {"ndjson": "ndjson", "jsonl": "ndjson", "csv": "csv", "tsv": "tsv", "parquet": "parquet"}


def format_of(path: str) -> str:
    """Return the format that the end of ``path`` names, ``.gz`` and ``.zst`` left aside.

    Raises ConfigError where it names none. ``.json`` names none: it may be one document over many lines.
    """
    name = path.rsplit("/", 1)[-1].lower()
    for compression in (".gz", ".zst"):
        name = name.removesuffix(compression)
    ending = name.rpartition(".")[2]
    if ending in _EXTENSIONS:
        return _EXTENSIONS[ending]
    known = "write `format:` ndjson, csv, tsv or parquet"
    hint = "`format: ndjson` reads one JSON object per line" if ending == "json" else known
    raise ConfigError("the format cannot be told from the name", where=path, hint=hint)


__all__ = ["FORMATS", "Chunk", "FileOpener", "Format", "Task", "format_of"]
