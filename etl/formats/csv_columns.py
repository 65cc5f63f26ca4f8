"""The columns of one CSV file under the reading schema and its contract: parsed rows in, values and misfits out."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from etl.errors import RowError, SchemaDriftError
from etl.formats.csv_values import ValueRules, bare, converted, direct_types, is_text, text_types
from etl.formats.records import Dialect
from etl.schema import to_polars
from etl.schema_contract import RESCUED, SchemaContract

if TYPE_CHECKING:
    from collections.abc import Mapping

    import polars as pl

    from etl.model import Schema

_EXCERPT = 120
_MARK = "\ue000"


@dataclass(frozen=True, slots=True)
class Misfit:
    """A row that the schema cannot hold, by its place in the parsed rows."""

    row: int
    rule: str
    reason: str


@dataclass(frozen=True, slots=True)
class Converted:
    """Rows in the columns of the schema, misfits among them, and which those are."""

    frame: pl.DataFrame
    misfits: list[Misfit]


@dataclass(frozen=True)
class FileColumns:
    """The names of a file's columns in order, and what becomes of them."""

    names: list[str]
    schema: Schema
    rules: ValueRules
    contract: SchemaContract
    dialect: Dialect

    @cached_property
    def dtypes(self) -> pl.Schema:
        """The columns of the schema, as Polars types."""
        return to_polars(self.schema)

    @cached_property
    def unknown(self) -> list[str]:
        """The columns that the schema lacks."""
        return [name for name in self.names if name not in self.schema]

    @cached_property
    def missing(self) -> list[str]:
        """The columns of the schema that the file lacks."""
        known = set(self.names)
        return [name for name in self.schema if name not in known and name != RESCUED]

    @cached_property
    def direct(self) -> Mapping[str, pl.DataType]:
        """The types that Polars may parse into at once."""
        return direct_types(self.schema, self.dtypes, self.names, self.rules)

    @cached_property
    def texts(self) -> Mapping[str, pl.DataType]:
        """Text for every column."""
        return text_types(self.names)

    @cached_property
    def empty(self) -> pl.DataFrame:
        """No rows, in the columns of the schema."""
        import polars as pl

        return pl.DataFrame(schema=self.dtypes)

    def check(self, path: str) -> None:
        """Raise what the contract says of the header: SchemaDriftError or RowError."""
        if self.unknown and self.contract.new_columns == "evolve":
            raise SchemaDriftError(self._unknown_reason, where=path)
        if self.unknown and self.contract.new_columns == "fail":
            hint = "add them to `schema:`, or set `schema_contract: {new_columns: …}`"
            raise RowError(self._unknown_reason, where=f"{path}:1", hint=hint)
        if self.missing and self.contract.missing_columns == "fail":
            hint = "correct the file, or set `schema_contract: {missing_columns: null}`"
            raise RowError(self._missing_reason, where=f"{path}:1", hint=hint)

    @cached_property
    def refusal(self) -> tuple[str, str] | None:
        """Rule and reason by which every row of the file is rejected, None where it is not."""
        if self.unknown and self.contract.new_columns == "quarantine":
            return "new_column", self._unknown_reason
        if self.missing and self.contract.missing_columns == "quarantine":
            return "missing_column", self._missing_reason
        return None

    @property
    def _unknown_reason(self) -> str:
        return f"columns not in the schema: {_listed(self.unknown)}"

    @property
    def _missing_reason(self) -> str:
        return f"columns of the schema that the file lacks: {_listed(self.missing)}"

    def marked(self, piece: bytes) -> tuple[bytes, str]:
        """Return the piece with a mark behind each quoted text that unquoted would mean null, and the mark."""
        quote = self.dialect.quote
        words = [word.encode() for word in self.rules.null_values if word]
        if not quote or not any(quote + word + quote in piece for word in words):
            return piece, ""
        mark = _MARK
        while mark.encode() in piece:
            mark += _MARK
        delimiter, end = re.escape(self.dialect.delimiter), re.escape(quote)
        one_of = b"|".join(re.escape(word) for word in words)
        pattern = rb"(?:\A|(?<=[" + delimiter + rb"\n]))(" + end + rb"(?:" + one_of + rb"))(" + end + rb")"
        pattern += rb"(?=" + delimiter + rb"|\r?\n|\Z)"
        return re.sub(pattern, rb"\1" + mark.encode() + rb"\2", piece), mark

    def convert(self, rows: pl.DataFrame, mark: str = "") -> Converted:
        """Return parsed rows in the columns of the schema, ``_rescued_data`` included."""
        import polars as pl

        place = {name: str(number) for number, name in enumerate(self.names)}
        texts: dict[str, pl.Series] = {}
        values: dict[str, pl.Series] = {}
        failed: dict[str, pl.Series] = {}
        for name, tree in self.schema.items():
            if name not in place:
                continue
            column, word = rows[place[name]], str(tree)
            if column.dtype == pl.String:
                texts[name] = column = self._without_nulls(column, mark)
            values[name] = converted(column, word, self.dtypes[name], self.rules)
            if name in texts and not is_text(word):
                self._note_failed(texts[name], values[name], name, failed)
            elif is_text(word) and "" not in self.rules.null_values:
                values[name] = _filled(values[name], rows[place[name]].is_null())
        new = [name for name in self.unknown if self.contract.new_columns == "rescue"]
        kept = {name: self._without_nulls(rows[place[name]], mark) for name in new}
        misfits: list[Misfit] = []
        if self.contract.type_change == "rescue":
            kept |= {name: _where(mask, texts[name]) for name, mask in failed.items()}
        else:
            misfits = self._misfits(failed, texts)
        return Converted(self._complete(values, rows.height, kept), misfits)

    def _note_failed(self, texts: pl.Series, values: pl.Series, name: str, failed: dict[str, pl.Series]) -> None:
        if values.null_count() == texts.null_count():
            return
        mask = bare(texts).is_not_null() & values.is_null()
        if mask.any():
            failed[name] = mask

    def _without_nulls(self, texts: pl.Series, mark: str) -> pl.Series:
        """Return text with null where a word for null stood without quotes."""
        import polars as pl

        if not self.rules.has_words:
            return texts
        words = [word for word in self.rules.null_values if word]
        found = pl.select(pl.when(~texts.is_in(words)).then(texts)).to_series()
        return found.replace([word + mark for word in words], words) if mark else found

    def _misfits(self, failed: Mapping[str, pl.Series], texts: Mapping[str, pl.Series]) -> list[Misfit]:
        found: dict[int, Misfit] = {}
        for name, mask in failed.items():
            rows = mask.arg_true()
            for row, text in zip(rows, texts[name].gather(rows), strict=True):
                found.setdefault(row, Misfit(row, "type", f"column {name}: {_quoted(text)} is no {self._form(name)}"))
        return [found[row] for row in sorted(found)]

    def _form(self, name: str) -> str:
        word = str(self.schema[name])
        form = self.rules.moments.form(word) if word in ("date", "timestamp", "timestamp(UTC)") else None
        return f"{word} as {form}" if form else word

    def _complete(self, values: Mapping[str, pl.Series], height: int, kept: Mapping[str, pl.Series]) -> pl.DataFrame:
        import polars as pl

        columns = []
        for name, dtype in self.dtypes.items():
            if name == RESCUED and self.contract.rescues:
                columns.append(_rescued(kept, height))
            elif name in values:
                columns.append(values[name].alias(name))
            else:
                columns.append(pl.Series(name, [None], dtype=dtype).new_from_index(0, height))
        return pl.DataFrame(columns)


def _filled(values: pl.Series, is_empty: pl.Series) -> pl.Series:
    """Return text with empty text where a field was empty, for where that does not mean null."""
    import polars as pl

    return pl.Series([""]).cast(values.dtype).new_from_index(0, len(values)).zip_with(is_empty, values)


def _where(mask: pl.Series, texts: pl.Series) -> pl.Series:
    import polars as pl

    return pl.select(pl.when(mask).then(texts)).to_series()


def _rescued(kept: Mapping[str, pl.Series], height: int) -> pl.Series:
    """Return for each row a JSON object of its kept texts, null where there are none."""
    import polars as pl

    nothing = pl.Series(RESCUED, [None], dtype=pl.String).new_from_index(0, height)
    texts = {name: column for name, column in kept.items() if column.null_count() < height}
    if not texts:
        return nothing
    frame = pl.DataFrame([column.alias(str(place)) for place, column in enumerate(texts.values())])
    members = [
        pl.when(pl.col(str(place)).is_not_null()).then(
            pl.lit(json.dumps(name, ensure_ascii=False) + ":")
            + pl.struct(pl.col(str(place)).alias("_")).struct.json_encode().str.slice(len('{"_":')).str.head(-1)
        )
        for place, name in enumerate(texts)
    ]
    joined = frame.select(pl.concat_str(members, separator=",", ignore_nulls=True).alias(RESCUED))
    return joined.select(pl.when(pl.col(RESCUED) != "").then("{" + pl.col(RESCUED) + "}").alias(RESCUED)).to_series()


def _quoted(text: str) -> str:
    return repr(text if len(text) <= _EXCERPT else text[:_EXCERPT] + "…")


def _listed(names: list[str], most: int = 10) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
