"""The beginning of files, for a look at what they hold: bounded bytes and lines, whatever the compression."""

from __future__ import annotations

import glob
import io
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from etl.errors import ConfigError, EtlError, SourceError
from etl.formats import FORMATS, FileOpener, format_of
from etl.formats.compressed import decompressed
from etl.operations.dialects import is_delimited

SAMPLE_BYTES = 100_000_000
SAMPLE_LINES = 100_000
TEXT_FORMATS = ("ndjson", "csv", "tsv", "text")
"""The formats of which a beginning can be read by itself."""

_BLOCK_BYTES = 1 << 20
_HEAD_BYTES = 4096
_MAGIC = {b"PAR1": "parquet", b"Obj\x01": "avro", b"ARROW1": "arrow", b"PK\x03\x04": "xlsx"}


@dataclass(frozen=True, slots=True)
class Sample:
    """The first lines of one file, decompressed; ``is_whole`` where they are all."""

    path: Path
    content: bytes
    is_whole: bool

    @property
    def opener(self) -> FileOpener:
        """The sample as a file of its own."""
        return FileOpener(str(self.path), len(self.content), lambda: cast("BinaryIO", io.BytesIO(self.content)))


def files_of(patterns: list[str]) -> list[Path]:
    """Return the files that paths and globs name, each once. Raises ConfigError where one names none."""
    found: dict[Path, None] = {}
    for pattern in patterns:
        paths = [pattern] if os.path.isfile(pattern) else sorted(glob.glob(pattern, recursive=True))
        files = [Path(path) for path in paths if os.path.isfile(path)]
        if not files:
            raise ConfigError("no such file", where=pattern, hint="name files, or a glob such as landing/*.csv")
        found |= dict.fromkeys(files)
    return list(found)


def common_format(files: list[Path]) -> str:
    """Return the format of all files, by their endings, else by what they begin with. Raises ConfigError."""
    names = {path: _format(path) for path in files}
    first = names[files[0]]
    for path, name in names.items():
        if name != first:
            raise ConfigError(
                f"is {name}, and {files[0]} is {first}: a pipeline reads one format",
                where=str(path),
                hint="infer each by itself",
            )
    return first


def _format(path: Path) -> str:
    try:
        return format_of(str(path))
    except ConfigError:
        head = _head(path)
    for magic, name in _MAGIC.items():
        if head.startswith(magic) and name in FORMATS:
            return name
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    if text.startswith((b"{", b"[")):
        is_line = text.startswith(b"{") and _is_json(text.split(b"\n", 1)[0], is_cut=len(head) == _HEAD_BYTES)
        return "ndjson" if is_line or "json" not in FORMATS else "json"
    if is_delimited(head):
        return "csv"
    if "text" in FORMATS:
        return "text"
    raise ConfigError("the format cannot be told, from the name or from what it begins with", where=str(path))


def _is_json(line: bytes, *, is_cut: bool) -> bool:
    try:
        json.loads(line)
    except ValueError:
        return is_cut and len(line) > _HEAD_BYTES // 2
    return True


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return decompressed(file, str(path)).read(_HEAD_BYTES)
    except OSError as exc:
        raise SourceError(f"cannot be read: {exc.strerror}", where=str(path), hint="mend its permissions") from exc


def samples_of(files: list[Path]) -> tuple[list[Sample], list[EtlError]]:
    """Return the beginnings of files, in order, until all bounds are used up, and why others cannot be read.

    Raises the error of the last one where none can be read.
    """
    left_bytes, left_lines = SAMPLE_BYTES, SAMPLE_LINES
    samples: list[Sample] = []
    failures: list[EtlError] = []
    for path in files:
        if left_bytes <= 0 or left_lines <= 0:
            break
        try:
            content, is_whole = _beginning(path, left_bytes, left_lines)
        except EtlError as exc:
            failures.append(exc)
            continue
        left_bytes -= len(content)
        left_lines -= content.count(b"\n") + (not content.endswith(b"\n"))
        samples.append(Sample(path, content, is_whole))
    if not samples and failures:
        raise failures[-1]
    return samples, failures


def _beginning(path: Path, max_bytes: int, max_lines: int) -> tuple[bytes, bool]:
    """Return whole lines from the start of a file, and whether they are all of it. Raises SourceError."""
    content = bytearray()
    lines = 0
    is_whole = False
    try:
        with path.open("rb") as file:
            stream = decompressed(file, str(path))
            while len(content) < max_bytes and lines < max_lines:
                block = stream.read(_BLOCK_BYTES)
                if not block:
                    is_whole = True
                    break
                content += block
                lines += block.count(b"\n")
    except OSError as exc:
        raise SourceError(f"cannot be read: {exc.strerror}", where=str(path), hint="mend its permissions") from exc
    if lines > max_lines:
        return _first_lines(bytes(content), max_lines), False
    return (bytes(content), True) if is_whole else (_whole_lines(bytes(content)), False)


def _first_lines(content: bytes, count: int) -> bytes:
    end = -1
    for _ in range(count):
        end = content.find(b"\n", end + 1)
    return content[: end + 1]


def _whole_lines(content: bytes) -> bytes:
    return content[: content.rfind(b"\n") + 1] or content
