"""The ``tests`` of a pipeline file: batches of rows that are given, and what is to come of them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Annotated, Any, TypeAlias

from pydantic import BeforeValidator, Field

from etl.config.faults import Location, nearest, reason, shown
from etl.config.yaml_reader import Document
from etl.errors import ConfigError
from etl.model import Schema
from etl.options import Options, parse_duration_s
from etl.type_text import parse_type

START = datetime(2100, 1, 1, tzinfo=UTC)
"""Where the clock of a test stands unless it says otherwise: no row is from its future."""

Rows: TypeAlias = "list[dict[str, Any]]"
_BATCH_KEYS = ("rows", "at", "advance")


def _moment(value: object) -> datetime:
    """Return a moment as ISO 8601 writes it; without a zone it is in UTC."""
    try:
        found = datetime.fromisoformat(str(value))
    except ValueError:
        raise ValueError("not a moment; write 2026-01-01T00:00:00Z") from None
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


Moment = Annotated[
    datetime, BeforeValidator(_moment), Field(json_schema_extra={"type": "string", "format": "date-time"})
]


class TrialOptions(Options):
    """One test of a pipeline."""

    name: str = Field(min_length=1)
    given: list[Any] | dict[str, Any] | str = Field(
        description="rows, or source name to rows, or a list of batches; text is the content of a file"
    )
    at: Moment = Field(default=START, description="where the clock stands before the first batch")
    declared: dict[str, str] | None = Field(
        default=None, alias="schema", description="types of given columns, where the source does not declare them"
    )
    expect: list[dict[str, Any]] | dict[str, list[dict[str, Any]]] | None = Field(
        default=None, description="the rows of the table after the last batch, or table name to rows"
    )
    expect_late: list[dict[str, Any]] | None = None
    expect_quarantine: list[dict[str, Any]] | None = None
    expect_error: str | None = Field(default=None, min_length=1, description="part of the message of a run that fails")
    exact: bool = Field(default=False, description="compare all columns, and not only those that are named")


@dataclass(frozen=True, slots=True)
class GivenBatch:
    """What a batch of a test brings: by name of a source (or of a static table), rows or the content of a file.

    The clock is set to ``at`` before it, or moved by ``advance_s``.
    """

    given: Mapping[str, Rows | str]
    at: datetime | None = None
    advance_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Trial:
    """A test as it is carried out.

    ``expected`` maps ``main``, ``late``, ``quarantine`` or the name of a table to rows; ``error`` is part of what the
    run is to fail with, empty where it must not.
    """

    name: str
    batches: tuple[GivenBatch, ...]
    expected: Mapping[str, Rows]
    at: datetime = START
    schema: Schema = field(default_factory=dict)
    error: str = ""
    is_exact: bool = False


def read_trials(document: Document, tests: Sequence[TrialOptions], sources: Sequence[str]) -> tuple[Trial, ...]:
    """Return the tests of a file; what is wrong with them is noted. ``sources`` are the names of its sources."""
    found = []
    names = [each.name for each in tests]
    for index, options in enumerate(tests):
        reader = _Reader(document, ("tests", index), sources)
        if options.name in names[:index]:
            reader.fault(("name",), f"'{options.name}' is the name of test {names.index(options.name)} too")
        expected = _expected(options)
        if not expected and options.expect_error is None:
            reader.fault((), "expects nothing; say `expect`")
        batches = reader.batches(options.given, options.at)
        reader.refuse_both_kinds(batches)
        found.append(
            Trial(
                options.name,
                batches,
                expected,
                options.at,
                reader.schema(options.declared or {}),
                options.expect_error or "",
                options.exact,
            )
        )
    return tuple(found)


def _expected(options: TrialOptions) -> dict[str, Rows]:
    """Return the expected rows by table."""
    told = options.expect if isinstance(options.expect, dict) else {"main": options.expect}
    sides = {"late": options.expect_late, "quarantine": options.expect_quarantine}
    return {name: rows for name, rows in {**told, **sides}.items() if rows is not None}


@dataclass(frozen=True, slots=True)
class _Reader:
    """Reads what a test at ``location`` gives."""

    document: Document
    location: Location
    sources: Sequence[str]

    def fault(self, below: Location, message: str, *, key: bool = False) -> None:
        self.document.fault((*self.location, *below), message, key=key)

    def schema(self, declared: Mapping[str, str]) -> Schema:
        found: Schema = {}
        for name, text in declared.items():
            try:
                found[name] = parse_type(text)
            except ConfigError as exc:
                self.fault(("schema", name), reason(exc))
        return found

    def refuse_both_kinds(self, batches: Sequence[GivenBatch]) -> None:
        """Refuse rows and text for one source: its files have one format."""
        kinds = [(name, isinstance(given, str)) for batch in batches for name, given in batch.given.items() if given]
        for name in dict.fromkeys(name for name, is_text in kinds if is_text):
            if (name, False) in kinds:
                self.fault(("given",), f"{name} is given rows and text; give one of them in a test", key=True)

    def batches(self, given: object, at: datetime) -> tuple[GivenBatch, ...]:
        """Return the batches: one, unless ``given`` is a list of them."""
        place: Location = ("given",)
        if not isinstance(given, list) or not any(map(_is_batch, given)):
            return (GivenBatch(self._by_source(given, place)),)
        found = []
        for index, each in enumerate(given):
            if not _is_batch(each):
                self.fault((*place, index), "a row between batches; a batch is a list of rows, text, or {rows: […]}")
                continue
            batch = self._batch(each, (*place, index))
            if batch.at is not None and batch.at < at:
                self.fault((*place, index, "at"), "the clock does not go back")
            at = batch.at or at
            found.append(batch)
        return tuple(found)

    def _batch(self, each: list[Any] | str | dict[str, Any], place: Location) -> GivenBatch:
        if not isinstance(each, dict):
            return GivenBatch(self._by_source(each, place))
        for key in each:
            if key not in _BATCH_KEYS:
                self.fault((*place, key), f"unknown key{nearest(key, _BATCH_KEYS)}", key=True)
        at, advance = each.get("at"), each.get("advance")
        rows = self._by_source(each["rows"], (*place, "rows"))
        try:
            where: Location = (*place, "at")
            moment = None if at is None else _moment(at)
            where = (*place, "advance")
            return GivenBatch(rows, moment, 0.0 if advance is None else parse_duration_s(advance))
        except ValueError as exc:
            self.fault(where, f"{exc}, got {shown(each[str(where[-1])])}")
            return GivenBatch(rows)

    def _by_source(self, given: object, place: Location) -> Mapping[str, Rows | str]:
        if not isinstance(given, dict):
            return {self.sources[0]: self._rows(given, place)}
        for name in given:
            if name not in self.sources and "." not in name:
                self.fault((*place, name), f"unknown source '{name}'{nearest(name, self.sources)}", key=True)
        return {name: self._rows(rows, (*place, name)) for name, rows in given.items()}

    def _rows(self, given: object, place: Location) -> Rows | str:
        if isinstance(given, str):
            return given
        if not isinstance(given, list):
            self.fault(place, f"expected a list of rows, got {shown(given)}")
            return []
        for index, row in enumerate(given):
            if not isinstance(row, dict):
                self.fault((*place, index), f"expected a row, which is a mapping, got {shown(row)}")
        return [row for row in given if isinstance(row, dict)]


def _is_batch(each: object) -> bool:
    return isinstance(each, list | str) or (isinstance(each, dict) and isinstance(each.get("rows"), Collection))
