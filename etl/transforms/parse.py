"""``parse``: a column of log lines or of JSON becomes columns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from etl.balance import Tally
from etl.errors import ConfigError, TransformError
from etl.model import BatchPlan
from etl.options import Options
from etl.schema import to_polars
from etl.transforms.columns import refuse_changes, refuse_reserved, refuse_twice, require
from etl.transforms.contract import Origins, TransformSite
from etl.transforms.parsed_column import ColumnParser, column_parser
from etl.transforms.row_json import rejected_rows
from etl.type_text import parse_type

if TYPE_CHECKING:
    import polars as pl

    from etl.model import Schema
    from etl.transforms.parsed_column import ParsedColumn


class ParseOptions(Options):
    """Which column, what is in it, and which columns it becomes."""

    column: str = Field(min_length=1, description="a column of text")
    format: str | dict[str, Any] = Field(
        description="json, or a log format: combined, logfmt, {regex: …}, {grok: …}, …"
    )
    format_options: dict[str, Any] = Field(default_factory=dict)
    columns: dict[str, str] | None = Field(
        default=None,
        alias="schema",
        description="name to type; needed where the lines name their columns: json, logfmt",
    )
    into: list[str] | None = Field(default=None, min_length=1, description="which of the columns; default: all of them")
    prefix: str = Field(default="", description="goes before the name of each column")
    keep: bool = Field(default=True, description="whether the column itself stays")
    otherwise: Literal["quarantine", "null", "fail"] = Field(
        default="quarantine", description="what becomes of a row whose text is not of the format"
    )


class Parse:
    """Parses a column; null gives nulls. Rows that do not parse are set aside, by the rule ``parse``."""

    label = "parse"
    options_model: ClassVar[type[ParseOptions]] = ParseOptions

    def __init__(self, options: ParseOptions, site: TransformSite) -> None:
        self._options = options
        self._where = site.place(self.label)
        schema: Schema = {name: parse_type(text, where=self._where) for name, text in (options.columns or {}).items()}
        self._parser: ColumnParser = column_parser(
            options.format, options.format_options, schema or None, is_kept=options.keep, where=self._where
        )

    @property
    def keeps_rows(self) -> bool:
        """Whether a row that does not parse may have to be kept as it came from the source."""
        return self._options.otherwise == "quarantine"

    def output_schema(self, given: pl.Schema) -> pl.Schema:
        """Return ``given`` and the columns. Raises ConfigError for a column that is no text, a name that is taken."""
        import polars as pl

        options = self._options
        refuse_changes(given, self._where)
        require([options.column], given, self._where)
        if given[options.column] != pl.String:
            hint = "cast it to string first"
            raise ConfigError(f"{options.column} is {given[options.column]}, no text", where=self._where, hint=hint)
        found = to_polars(self._parser.schema)
        require(options.into or [], found, self._where)
        stay = {name: kind for name, kind in given.items() if options.keep or name != options.column}
        new = {f"{options.prefix}{name}": found[name] for name in options.into or found}
        refuse_reserved(new, self._where)
        refuse_twice([*stay, *new], self._where)
        return pl.Schema(stay | new)

    def origins(self, given: pl.Schema) -> Origins:
        """Return the parsed column for each that it becomes."""
        return {name: frozenset((self._options.column,)) for name in self.output_schema(given) if name not in given}

    def apply(self, rows: pl.LazyFrame, plan: BatchPlan, tally: Tally) -> pl.LazyFrame:
        """Return the rows with the columns. Raises TransformError, under ``otherwise: fail``, while the rows flow."""
        import polars as pl

        schema = self.output_schema(rows.collect_schema())

        def parse(frame: pl.DataFrame) -> pl.DataFrame:
            parsed = self._parser.parse(frame[self._options.column], plan.batch_at)
            new = parsed.frame.rename(lambda name: f"{self._options.prefix}{name}")
            if len(parsed.bad):
                frame, new = self._split(frame, new, parsed, tally)
            stay = [each for each in frame if self._options.keep or each.name != self._options.column]
            return pl.DataFrame([*stay, *(each for each in new if each.name in schema)]).select(schema.names())

        return rows.map_batches(parse, schema=schema, streamable=True)

    def _split(
        self, frame: pl.DataFrame, new: pl.DataFrame, parsed: ParsedColumn, tally: Tally
    ) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Return rows and their columns, without those that do not parse or with nulls for them."""
        import polars as pl

        if self._options.otherwise == "fail":
            first = frame[self._options.column][int(parsed.bad[0])]
            raise TransformError(
                f"{self._options.column}: {first!r} does not parse: {parsed.reasons[0]}",
                where=self._where,
                hint="say `otherwise: quarantine` to set such rows aside, `otherwise: null` to keep them",
            )
        if self._options.otherwise == "null":
            places = pl.repeat(None, frame.height, dtype=pl.UInt32, eager=True)
            places = places.scatter(parsed.good, pl.int_range(len(parsed.good), dtype=pl.UInt32, eager=True))
            return frame, new.select(pl.all().gather(places))
        reasons = pl.select(pl.format(f"{self._options.column}: {{}}", parsed.reasons)).to_series()
        tally.quarantine(rejected_rows(frame[parsed.bad], "parse", reasons))
        return frame[parsed.good], new
