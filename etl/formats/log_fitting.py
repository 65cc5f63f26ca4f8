"""Log lines as columns, in the columns of a reading schema: what does not fit goes where the schema contract says."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from etl.errors import ConfigError, RowError, SchemaDriftError
from etl.formats.log_columns import frame_of
from etl.formats.typed_text import typed
from etl.rejects import reject_schema
from etl.schema import format_type, to_polars
from etl.schema_contract import RESCUED

if TYPE_CHECKING:
    import polars as pl

    from etl.formats.log_records import LineParser, Parsed, Records
    from etl.model import Schema, TypeTree
    from etl.schema_contract import SchemaContract

_FROM_INTEGER = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float64", "string")
_WORDS = {"new_column": "new_columns", "type": "type_change", "missing_column": "missing_columns"}
"""The rules of rows that do not fit, each with the policy that may make a failure of it."""


@dataclass(frozen=True, slots=True)
class Fitted:
    """Rows of the reading schema, where each starts, and the rejected ones (``etl.rejects.reject_schema``).

    The ``line`` of a reject is its record's number among the lines that were given, from 1.
    """

    frame: pl.DataFrame
    offsets: pl.Series
    rejects: pl.DataFrame | None = None


class LogFit:
    """A reading schema and a contract, for lines of one parser. Immutable.

    Raises ConfigError for a schema that no line of the format could fit, SchemaDriftError where it lacks columns that
    the contract lets evolve.
    """

    def __init__(self, parser: LineParser, schema: Schema, contract: SchemaContract, where: str = "") -> None:
        self._schema = {name: tree for name, tree in schema.items() if name != RESCUED or not contract.rescues}
        self._names = list(schema)
        self._targets = to_polars(self._schema)
        self.contract = contract
        self._where = where
        self._is_open = parser.schema is None
        for name, tree in self._schema.items():
            self._check_type(name, tree, "string" if parser.schema is None else parser.schema.get(name, tree))
        if parser.schema is not None:
            self._check_names(list(parser.schema))

    def _check_type(self, name: str, declared: TypeTree, given: TypeTree) -> None:
        is_text = given == "string" and isinstance(declared, str) and declared != "null"
        if declared == given or is_text or (given == "int64" and declared in _FROM_INTEGER):
            return
        message = f"the format gives {format_type(given)}, which cannot be read as {format_type(declared)}"
        raise ConfigError(f"{name}: {message}", where=self._where, hint="correct `schema`, or cast in a transform")

    def _check_names(self, given: list[str]) -> None:
        """Refuse what would be true of every line."""
        new = [name for name in given if name not in self._schema]
        missing = [name for name in self._schema if name not in given]
        if new and self.contract.new_columns == "evolve":
            raise SchemaDriftError(f"the schema lacks {', '.join(new)}", where=self._where)
        if new and self.contract.new_columns in ("quarantine", "fail"):
            hint = "add them to `schema`, or say `schema_contract: {new_columns: ignore}`"
            raise ConfigError(f"the schema lacks what the format gives: {', '.join(new)}", where=self._where, hint=hint)
        if missing and self.contract.missing_columns != "null":
            hint = "take them out of `schema`, or say `schema_contract: {missing_columns: null}`"
            raise ConfigError(f"the format gives no {', '.join(missing)}", where=self._where, hint=hint)

    def apply(self, parsed: Parsed, records: Records) -> Fitted:
        """Return the rows that fit and those that do not. Raises SchemaDriftError."""
        fitting = _Fitting(parsed, records.lines)
        columns = [self._column(name, target, fitting) for name, target in self._targets.items()]
        if self._is_open and self.contract.missing_columns != "null":
            for name in self._schema:
                fitting.reject(fitting.is_lacking(name), "missing_column", f"no {name}, which the schema has")
        for name in [name for name in parsed.frame.columns if name not in self._schema]:
            self._extra(name, fitting)
        frame = frame_of(columns, len(records.lines))
        if len(self._names) > len(self._schema):
            frame = frame.with_columns(fitting.rescued()).select(self._names)
        return fitting.result(frame, records)

    def new_columns(self, parsed: Parsed, records: Records) -> list[str]:
        """Return the columns that rows have which no rule rejects, and the schema lacks."""
        fitting = _Fitting(parsed, records.lines)
        for name, target in self._targets.items():
            self._column(name, target, fitting)
        return [name for name in parsed.frame.columns if name not in self._schema and fitting.has(name).any()]

    def _column(self, name: str, target: pl.DataType, fitting: _Fitting) -> pl.Series:
        import polars as pl

        if name not in fitting.frame.columns:
            return pl.repeat(None, fitting.frame.height, dtype=target, eager=True).alias(name)
        values = fitting.frame[name]
        if values.dtype == target:
            return values
        found, is_lost = typed(values, target) if values.dtype == pl.String else _recast(values, target)
        if is_lost.any():
            if self.contract.type_change == "rescue":
                fitting.rescue(name, is_lost)
            else:
                fitting.reject(is_lost, "type", f"{name}: {{}} is no {format_type(self._schema[name])}", name)
        return found.set(is_lost, None) if is_lost.any() else found

    def _extra(self, name: str, fitting: _Fitting) -> None:
        policy = self.contract.new_columns
        found = fitting.has(name)
        if policy == "ignore" or not found.any():
            return
        if policy == "evolve":
            raise SchemaDriftError(f"the schema lacks {name}", where=self._where)
        if policy == "rescue":
            fitting.rescue(name, found)
        else:
            fitting.reject(found, "new_column", f"{name} is not in the schema")


class _Fitting:
    """Lines while they are fitted: which are rejected so far and why, and what is rescued of the others."""

    def __init__(self, parsed: Parsed, lines: pl.Series) -> None:
        self.frame = parsed.frame
        self._lines = lines
        self._found: list[pl.DataFrame] = []
        self._rescued: dict[int, dict[str, Any]] = {}
        self._is_good = ~parsed.is_bad
        if parsed.reasons is not None:
            self._note(parsed.is_bad, "syntax", parsed.reasons)

    def has(self, name: str) -> pl.Series:
        """Tell which rows, of those that are not rejected, have a value."""
        return self.frame[name].is_not_null() & self._is_good

    def is_lacking(self, name: str) -> pl.Series:
        """Tell which rows, of those that are not rejected, have none."""
        import polars as pl

        if name not in self.frame.columns:
            return self._is_good
        return self.frame[name].is_null() & self._is_good & pl.Series(self._lines.is_not_null())

    def reject(self, is_rejected: pl.Series, rule: str, words: str, name: str = "") -> None:
        """Set rows aside; ``{}`` in ``words`` is the value of the column ``name``."""
        import polars as pl

        if name:
            reasons = pl.select(pl.format(words, self.frame[name].cast(pl.String))).to_series()
        else:
            reasons = pl.repeat(words, self.frame.height, eager=True)
        self._note(is_rejected & self._is_good, rule, reasons)
        self._is_good &= ~is_rejected

    def _note(self, is_rejected: pl.Series, rule: str, reasons: pl.Series) -> None:
        import polars as pl

        places = is_rejected.arg_true()
        if len(places):
            columns = {"place": places, "reason": reasons.gather(places)}
            self._found.append(pl.DataFrame(columns).with_columns(rule=pl.lit(rule)))

    def rescue(self, name: str, is_rescued: pl.Series) -> None:
        """Keep the values of a column that its schema cannot hold."""
        import polars as pl

        places = (is_rescued & self._is_good).arg_true()
        for place, value in zip(places, self.frame[name].gather(places).cast(pl.String), strict=True):
            self._rescued.setdefault(place, {})[name] = value

    def rescued(self) -> pl.Series:
        """Return what was rescued, per row."""
        import polars as pl

        texts = [json.dumps(values, ensure_ascii=False) for values in self._rescued.values()]
        column = pl.repeat(None, self.frame.height, dtype=pl.String, eager=True)
        return column.scatter(list(self._rescued), pl.Series(texts, dtype=pl.String)).alias(RESCUED)

    def result(self, frame: pl.DataFrame, records: Records) -> Fitted:
        """Return the rows that are left, and those that are not, in their order."""
        import polars as pl

        if not self._found:
            return Fitted(frame, records.offsets)
        bad = pl.concat(self._found).sort("place")
        rejects = bad.select(
            raw=records.lines.gather(bad["place"]).cast(pl.Binary),
            form=pl.lit("text"),
            context=pl.lit(None, dtype=pl.String),
            _source_offset=records.offsets.gather(bad["place"]),
            line=records.numbers.gather(bad["place"]) + 1,
            rule="rule",
            reason="reason",
        )
        return Fitted(frame.filter(self._is_good), records.offsets.filter(self._is_good), rejects)


def _recast(values: pl.Series, target: pl.DataType) -> tuple[pl.Series, pl.Series]:
    import polars as pl

    found = values.cast(target, strict=False)
    if target == pl.String:
        return found, found.is_null() & values.is_not_null()
    return found, found.cast(values.dtype, strict=False).ne_missing(values)


def refuse_fatal(rejects: pl.DataFrame, contract: SchemaContract, path: str) -> None:
    """Raise the first of ``rejects`` as a RowError where the contract says ``fail`` to its rule."""
    import polars as pl

    fatal = [rule for rule, policy in _WORDS.items() if getattr(contract, policy) == "fail"]
    found = rejects.filter(pl.col("rule").is_in(fatal)).head(1)
    for row in found.iter_rows(named=True):
        hint = "correct the line, or choose another policy in `schema_contract`"
        raise RowError(row["reason"], where=f"{path}:{row['line']}", hint=hint)


def as_rejects(refused: list[dict[str, object]], before: int = 0) -> pl.DataFrame:
    """Return refused lines (``etl.formats.line_pieces``) as rejects, ``before`` lines behind the first."""
    import polars as pl

    schema = {name: kind for name, kind in reject_schema().items() if name != "_source_file"}
    rows = pl.DataFrame([{"form": "text"} | row for row in refused], schema=schema)
    return rows.with_columns(pl.col("line") + before)
