"""Files as a static table: Parquet, CSV, NDJSON and every other format that holds rows."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from pydantic import ValidationError

from etl.errors import ConfigError, MissingTableError, PinChangedError, RowError, SourceError, TransformError
from etl.formats import FORMATS, FileOpener, Format, format_of
from etl.model import Schema
from etl.schema import to_polars
from etl.schema_contract import EVOLVE, SchemaContract, Survey
from etl.storage import open_filesystem
from etl.transforms.static_table import TablePlace

if TYPE_CHECKING:
    import polars as pl

    from etl.model import Json

_MAGIC = frozenset("*?[")
_PRUNED = SchemaContract(new_columns="ignore", type_change="fail", missing_columns="null")
"""What is read of a file: the columns that are wanted, without a row that does not fit them."""


class StaticFiles:
    """One file, a folder of them or a glob pattern; a pin lists each with its size and ETag or time."""

    def __init__(self, path: str, format_: str | None, options: dict[str, Any], place: TablePlace) -> None:
        self._path = path
        self._format = format_
        self._options = options
        self._place = place
        url = path if "://" in path else f"file://{path}"
        self._files, self._root = open_filesystem(url, place.project.options_for(path))
        self._known: tuple[Json, Schema] | None = None

    def is_delta(self) -> bool:
        """Tell whether the folder is that of a Delta table."""
        return _MAGIC.isdisjoint(self._root) and bool(self._files.exists(f"{self._root}/_delta_log"))

    def pin(self) -> Json:
        """Return the files that there are now. Raises MissingTableError."""
        self._files.invalidate_cache()
        found = self._listed()
        if not found:
            raise MissingTableError(
                self._path, f"no file {self._path}", where=self._place.where, hint="correct the path, or put it there"
            )
        return {"files": [[path, int(info["size"]), _mark(info)] for path, info in sorted(found.items())]}

    def _listed(self) -> dict[str, Any]:
        """Return what is known of each file, without those whose name, or folder below ours, begins with _ or a dot."""
        if self._files.isfile(self._root):
            return {self._root: self._files.info(self._root)}
        is_pattern = not _MAGIC.isdisjoint(self._root)
        found = self._files.glob(self._root, detail=True) if is_pattern else self._files.find(self._root, detail=True)
        skipped = re.compile(r"(^|/)[_.][^/]*$" if is_pattern else r"(^|/)[_.]")
        return {
            path: info
            for path, info in found.items()
            if info["type"] == "file" and not skipped.search(path if is_pattern else path.removeprefix(self._root))
        }

    def schema(self) -> pl.Schema:
        """Return the columns of the files that there are now. Raises ConfigError, TransformError."""
        return to_polars(self._types(self.pin()))

    def load(self, pin: Json) -> pl.DataFrame:
        """Return the rows of the files. Raises PinChangedError where one of them is not as it was pinned."""
        import polars as pl

        types = self._types(pin)
        frames = [pl.DataFrame(schema=to_polars(types))]
        for file in self._opened(pin):
            with self._blaming(file.path):
                frames += _rows(self._made(file.path, _PRUNED), file, types)
        return pl.concat(frames, rechunk=True)

    def _types(self, pin: Json) -> Schema:
        """Return the columns that are read, with types that hold every row."""
        if self._known is None or self._known[0] != pin:
            declared = self._place.declared or {}
            is_told = self._place.wanted is not None and declared.keys() >= set(self._place.wanted)
            types = declared if is_told else self._surveyed(pin) | declared
            self._known = (pin, {name: types[name] for name in self._place.chosen(list(types))})
        return self._known[1]

    def _surveyed(self, pin: Json) -> Schema:
        survey: Survey | None = None
        for file in self._opened(pin):
            with self._blaming(file.path):
                survey = self._made(file.path, EVOLVE).survey(file, survey)
        return {} if survey is None else survey.schema

    def _made(self, path: str, contract: SchemaContract) -> Format:
        """Return the format of a file. Raises ConfigError."""
        kind = cast("Any", FORMATS[self._format or format_of(path)])
        try:
            options = kind.options_model.model_validate(self._options)
        except ValidationError as exc:
            first = exc.errors()[0]
            message = f"format_options.{'.'.join(map(str, first['loc']))}: {first['msg']}"
            raise ConfigError(message, where=self._place.where, hint="look at the options of the format") from exc
        made: Format = kind(options, contract)
        return made

    def _opened(self, pin: Json) -> Iterator[FileOpener]:
        """Yield the files of a pin, their bytes checked. Raises PinChangedError."""
        for path, size_bytes, mark in cast("dict[str, list[tuple[str, int, str]]]", pin)["files"]:
            content = self._content(path)
            if content is None or (len(content), self._mark(path)) != (size_bytes, mark):
                raise PinChangedError(
                    f"{path} changed after it was planned",
                    where=self._place.where,
                    hint="give writers a temporary name, then rename",
                )
            yield FileOpener(path, size_bytes, partial(io.BytesIO, content))

    def _content(self, path: str) -> bytes | None:
        try:
            return bytes(self._files.cat_file(path))
        except FileNotFoundError:
            return None

    def _mark(self, path: str) -> str | None:
        """Return what tells the versions of a file apart, None where there is none now."""
        self._files.invalidate_cache()
        try:
            return _mark(self._files.info(path))
        except FileNotFoundError:
            return None

    @contextmanager
    def _blaming(self, path: str) -> Iterator[None]:
        """Turn what a format says of a file into an error of the transform: it is no input that could be set aside."""
        try:
            yield
        except SourceError as exc:
            message = f"{exc.where or path}: {exc.message}"
            raise TransformError(message, where=self._place.where, hint="mend the file; none of it was joined") from exc


def _mark(info: dict[str, Any]) -> str:
    return str(info.get("ETag") or info.get("mtime") or info.get("LastModified") or info.get("created") or "")


def _rows(format_: Format, file: FileOpener, types: Schema) -> Iterator[pl.DataFrame]:
    """Yield the rows of a file. Raises RowError for the first that does not fit."""
    for task in format_.tasks(file, types):
        for chunk in task():
            if chunk.rejects is not None and chunk.rejects.height:
                first = chunk.rejects.row(0, named=True)
                raise RowError(first["reason"], where=f"{file.path}:{first['line'] or first['_source_offset']}")
            yield chunk.frame
