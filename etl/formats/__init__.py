"""Bytes in, rows out: one module per format."""

from __future__ import annotations

from etl.errors import ConfigError
from etl.formats.contract import Chunk, FileOpener, Format, Task
from etl.registry import Registry

FORMATS = Registry(
    {
        "ndjson": "etl.formats.ndjson:Ndjson",
        "json": "etl.formats.json_document:Json",
        "csv": "etl.formats.delimited:Csv",
        "tsv": "etl.formats.delimited:Tsv",
        "parquet": "etl.formats.parquet:Parquet",
        "avro": "etl.formats.avro:Avro",
        "arrow": "etl.formats.arrow:Arrow",
        "text": "etl.formats.text:Text",
        "binary": "etl.formats.binary:Binary",
        "xlsx": "etl.formats.xlsx:Xlsx",
        "lines": "etl.formats.log_formats:LinesFormat",
        "common": "etl.formats.log_formats:CommonFormat",
        "combined": "etl.formats.log_formats:CombinedFormat",
        "syslog_rfc3164": "etl.formats.log_formats:Rfc3164Format",
        "syslog_rfc5424": "etl.formats.log_formats:Rfc5424Format",
        "logfmt": "etl.formats.log_formats:LogfmtFormat",
        "cri": "etl.formats.log_formats:CriFormat",
    }
)
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
