"""Bytes in, rows out: one module per format."""

from __future__ import annotations

from typing import Any

from etl.errors import ConfigError
from etl.formats.arrow import Arrow
from etl.formats.avro import Avro
from etl.formats.binary import Binary
from etl.formats.contract import Chunk, FileOpener, Format, Task
from etl.formats.delimited import Csv, Tsv
from etl.formats.json_document import Json
from etl.formats.log_formats import LOG_FORMATS
from etl.formats.ndjson import Ndjson
from etl.formats.parquet import Parquet
from etl.formats.text import Text
from etl.formats.xlsx import Xlsx

FORMATS: dict[str, type[Any]] = {
    "ndjson": Ndjson,
    "json": Json,
    "csv": Csv,
    "tsv": Tsv,
    "parquet": Parquet,
    "avro": Avro,
    "arrow": Arrow,
    "text": Text,
    "binary": Binary,
    "xlsx": Xlsx,
    **LOG_FORMATS,
}
"""Every format by its name in pipeline files; ``options_model`` of each is what ``format_options`` may hold."""

_ENDINGS = {
    "ndjson": "ndjson",
    "jsonl": "ndjson",
    "json": "json",
    "csv": "csv",
    "tsv": "tsv",
    "parquet": "parquet",
    "avro": "avro",
    "arrow": "arrow",
    "feather": "arrow",
    "ipc": "arrow",
    "txt": "text",
    "log": "text",
    "xlsx": "xlsx",
}
_COMPRESSIONS = (".gz", ".zst", ".bz2", ".xz")


def format_of(path: str) -> str:
    """Return the format that the end of ``path`` names, ``.gz``, ``.zst``, ``.bz2`` and ``.xz`` left aside.

    Raises ConfigError where it names none.
    """
    name = path.rsplit("/", 1)[-1].lower()
    for compression in _COMPRESSIONS:
        name = name.removesuffix(compression)
    ending = name.rpartition(".")[2]
    if "." in name and ending in _ENDINGS:
        return _ENDINGS[ending]
    raise ConfigError("the format cannot be told from the name", where=path, hint=f"write `format:` {_one_of()}")


def _one_of() -> str:
    *most, last = FORMATS
    return f"{', '.join(most)} or {last}"


__all__ = ["FORMATS", "Chunk", "FileOpener", "Format", "Task", "format_of"]
