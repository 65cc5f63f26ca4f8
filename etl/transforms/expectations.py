"""Expectations: what every row must satisfy, asked once, in the pass that writes the rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from etl.balance import Tally
from etl.errors import ConfigError, QuarantineError, TransformError
from etl.expressions import Columns, compile_columns
from etl.model import CHANGE, SOURCE_ROW, BatchPlan
from etl.options import Options
from etl.rejects import SOURCE, reject_schema
from etl.transforms.columns import MASK
from etl.transforms.source_rows import encoded_rows

if TYPE_CHECKING:
    import polars as pl

_SHOWN_VALUES = 3


class ExpectationOptions(Options):
    """One thing that every row must satisfy."""

    name: str = Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,99}$", description="how it is called in counts and quarantine")
    check: str = Field(min_length=1, description="an expression; satisfied where it is true, not false or null")
    otherwise: Literal["warn", "drop", "quarantine", "fail"] = "quarantine"
    max_fraction: float | None = Field(default=None, ge=0, le=1, description="of the rows; beyond, the batch fails")


class Expectations:
    """All expectations of a pipeline, in order, behind its last transform."""

    label = "expect"

    def __init__(self, expected: Sequence[ExpectationOptions]) -> None:
        self._expected = tuple(expected)

    @property
    def keeps_rows(self) -> bool:
        """Whether a row that fails may have to be kept as it came from the source."""
        return any(each.otherwise == "quarantine" for each in self._expected)

    def output_schema(self, given: pl.Schema) -> pl.Schema:
        """Return ``given`` without the row of the source. Raises ConfigError for a check that is none.

        Rows of a changing result cannot be taken out of it here: what would become of them is what a filter is for.
        """
        import polars as pl

        for place, each in enumerate(self._expected):
            if CHANGE in given and each.otherwise in ("drop", "quarantine"):
                raise ConfigError(
                    f"otherwise: {each.otherwise} cannot take rows out of a changing result",
                    where=f"expect[{place}].check",
                    hint="say otherwise: warn or fail, or use a filter",
                )
        self._masks(given)
        return pl.Schema({name: kind for name, kind in given.items() if name != SOURCE_ROW})

    def apply(self, rows: pl.LazyFrame, _plan: BatchPlan, tally: Tally) -> pl.LazyFrame:
        """Return the rows that go on, in one pass: dropped ones count as ``filtered``, rejected ones are set aside.

        Streaming raises TransformError for a row that fails where that fails the batch.
        """
        import polars as pl

        given = rows.collect_schema()
        after = self.output_schema(given)

        def split(frame: pl.DataFrame) -> pl.DataFrame:
            return self._split(frame, tally).select(list(after))

        return self._masks(given).apply(rows).map_batches(split, schema=pl.Schema(after), streamable=True)

    def _masks(self, given: pl.Schema) -> Columns:
        """Return ``given`` and a column for each expectation that tells whether it is satisfied. Raises ConfigError."""
        import polars as pl

        wanted: dict[str, Any] = dict.fromkeys(given)
        for place, each in enumerate(self._expected):
            where = f"expect[{place}].check"
            found = compile_columns({each.name: each.check}, given, where=where).schema[each.name]
            if found != pl.Boolean:
                raise ConfigError(f"gives {found}, not true or false", where=where, hint="compare it to something")
            wanted[f"{MASK}_{place}"] = each.check
        return compile_columns(wanted, given, where="expect")

    def _split(self, frame: pl.DataFrame, tally: Tally) -> pl.DataFrame:
        if CHANGE in frame.columns:
            self._look(frame.filter(frame[CHANGE] != "delete"), tally)
            return frame
        failed = self._look(frame, tally)
        if not failed:
            return frame
        self._set_aside(frame, failed, tally)
        return frame.filter(~reduce(or_, failed.values()))

    def _look(self, frame: pl.DataFrame, tally: Tally) -> dict[int, pl.Series]:
        """Return which rows fail the expectations that take them out, by their place; all failures are counted."""
        tally.ask(frame.height)
        failed: dict[int, pl.Series] = {}
        for place, each in enumerate(self._expected):
            is_failed = ~frame[f"{MASK}_{place}"].fill_null(value=False)
            rows = int(is_failed.sum())
            tally.fail(each.name, rows)
            if not rows:
                continue
            if each.otherwise == "fail" and each.max_fraction is None:
                raise self._failure(each, frame.filter(is_failed))
            if each.otherwise in ("drop", "quarantine"):
                failed[place] = is_failed
        return failed

    def _set_aside(self, frame: pl.DataFrame, failed: Mapping[int, pl.Series], tally: Tally) -> None:
        """Quarantine the rows that fail a check that says so; those that fail only others are dropped."""
        import polars as pl

        nothing = pl.repeat(value=False, n=frame.height, dtype=pl.Boolean, eager=True)
        rejecting = {place: mask for place, mask in failed.items() if self._expected[place].otherwise == "quarantine"}
        is_rejected = pl.Series(nothing)
        for mask in rejecting.values():
            is_rejected = is_rejected | mask
        is_dropped = pl.Series(nothing)
        for mask in failed.values():
            is_dropped = is_dropped | mask
        is_dropped = is_dropped & ~is_rejected
        if is_dropped.any():
            tally.count("filtered", frame.filter(is_dropped))
        if is_rejected.any():
            marked = frame.with_columns(rejecting[place].alias(f"{MASK}_{place}") for place in rejecting)
            tally.quarantine(self._rejects(marked.filter(is_rejected), tuple(rejecting)))

    def _rejects(self, frame: pl.DataFrame, places: tuple[int, ...]) -> pl.DataFrame:
        """Return failed rows as rejects: the first rule broken, all of them in the reason, the row as JSON."""
        import polars as pl

        rule = pl.lit(None, pl.String)
        reasons: list[pl.Expr] = []
        for place in reversed(places):
            is_failed = pl.col(f"{MASK}_{place}")
            rule = pl.when(is_failed).then(pl.lit(self._expected[place].name)).otherwise(rule)
            words = f"{self._expected[place].name}: {self._expected[place].check}"
            reasons.insert(0, pl.when(is_failed).then(pl.lit(words)))
        types = reject_schema()
        present = [name for name in ("_source_file", "_source_offset") if name in frame.columns]
        raw, source = encoded_rows(frame[SOURCE_ROW])
        told = frame.select(
            raw=raw,
            form=pl.lit("json"),
            context=pl.lit(None, pl.String),
            _source_file=pl.col("_source_file") if "_source_file" in present else pl.lit(None, pl.String),
            _source_offset=pl.col("_source_offset") if "_source_offset" in present else pl.lit(None, pl.Int64),
            line=pl.lit(None, pl.Int64),
            rule=rule,
            reason=pl.concat_str(reasons, separator="; ", ignore_nulls=True),
        ).cast(pl.Schema(types))
        return told if source is None else told.with_columns(source.alias(SOURCE))

    def _failure(self, each: ExpectationOptions, frame: pl.DataFrame) -> TransformError:
        shown = frame.head(1).select(name for name in frame.columns if not name.startswith(("_", MASK))).to_dicts()[0]
        values = ", ".join(f"{name} {value!r}" for name, value in list(shown.items())[:_SHOWN_VALUES])
        place = self._expected.index(each)
        origin = ""
        if "_source_file" in frame.columns:
            origin = f" ({frame['_source_file'][0]}"
            origin += f":{frame['_source_offset'][0]})" if "_source_offset" in frame.columns else ")"
        return TransformError(
            f"{each.name}: a row does not satisfy {each.check}: {values}{origin}",
            where=f"expect[{place}]",
            hint="mend the rows, or say otherwise: quarantine",
        )

    def check(self, tally: Tally, *, is_again: bool = False) -> None:
        """Refuse a batch in which more rows failed than ``max_fraction`` allows. Raises QuarantineError.

        Rows that come from the quarantine (``is_again``) may go back to it, however many they are.
        """
        failed, asked = tally.failed(), tally.asked
        for each in self._expected:
            if is_again and each.otherwise == "quarantine":
                continue
            rows = failed.get(each.name, 0)
            if each.max_fraction is not None and rows > each.max_fraction * asked:
                raise QuarantineError(
                    f"{each.name}: {rows:,} of {asked:,} rows do not satisfy {each.check}, more than "
                    f"{each.max_fraction:g} of them",
                    where="expect",
                    hint="nothing was committed; mend the input or the pipeline, or raise max_fraction",
                )
