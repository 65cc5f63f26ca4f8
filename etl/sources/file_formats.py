"""Which format a file is read as: the declared one, or the one that its ending names."""

from __future__ import annotations

from typing import Any, cast

from etl.formats import FORMATS, Format, format_of
from etl.schema_contract import SchemaContract
from etl.sources.file_options import LogPattern


class FileFormats:
    """The formats of one source, each made once. Asked from several threads; making one twice does no harm."""

    def __init__(self, declared: str | LogPattern | None, options: dict[str, Any], contract: SchemaContract) -> None:
        self._declared = declared
        self._options = options
        self._contract = contract
        self._made: dict[str, Format] = {}

    def of(self, text: str) -> Format:
        """Return the format of a file. Raises ConfigError where none is declared and the ending says nothing."""
        name = self._declared or format_of(text)
        if isinstance(name, LogPattern):
            return self._pattern(name)
        if name not in self._made:
            kind = cast("Any", FORMATS[name])
            self._made[name] = kind(kind.options_model.model_validate(self._options), self._contract)
        return self._made[name]

    def _pattern(self, pattern: LogPattern) -> Format:
        if "" not in self._made:
            self._made[""] = pattern.made(self._options, self._contract)
        return self._made[""]
