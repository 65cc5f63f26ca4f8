"""Which formats growing files can have, and how one is made from what a pipeline file says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from etl.errors import ConfigError
from etl.formats.delimited import Csv, Tsv
from etl.formats.log_formats import format_from
from etl.formats.ndjson import Ndjson
from etl.schema_contract import EVOLVE, SchemaContract

if TYPE_CHECKING:
    from etl.sources.log_options import LogOptions

_KINDS: dict[str, Any] = {"ndjson": Ndjson, "csv": Csv, "tsv": Tsv}


def made(options: LogOptions, contract: SchemaContract = EVOLVE) -> object:
    """Return the format of a source. Raises ConfigError."""
    given: dict[str, Any] = dict(options.format_options)
    kind = _KINDS.get(options.format) if isinstance(options.format, str) else None
    if kind is not None:
        if options.multiline is not None:
            raise ConfigError(f"{options.format} has records of its own", where="multiline", hint="take it out")
        try:
            return kind(kind.options_model.model_validate(given), contract)
        except ValidationError as exc:
            raise ConfigError(str(exc.errors()[0]["msg"]), where="format_options") from exc
    if options.multiline is not None:
        given["multiline"] = {"start": options.multiline.start}
    return format_from(options.format, given, contract)
