"""What the YAML files may say: strict models of their fixed parts, and the validated specification of a pipeline."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from etl.config.faults import Location
from etl.config.project_keys import BatchOptions, Version
from etl.config.schedule import ScheduleOptions, TriggerName, TriggerOption
from etl.config.trials import Trial, TrialOptions
from etl.config.yaml_reader import Document
from etl.model import ReadLimit, Schema
from etl.options import DurationS, Options
from etl.project import DEFAULT_LIMIT
from etl.schema_contract import CONTRACTS, EVOLVE, STRICT, MissingColumns, NewColumns, SchemaContract, TypeChange
from etl.transforms.expectations import ExpectationOptions


class QuarantineOptions(Options):
    """Where rejected rows go, and how many there may be."""

    table: str | None = Field(default=None, description="default: the sink's table with __quarantine behind its name")
    max_fraction: float | None = Field(default=None, ge=0, le=1, description="of the rows; beyond, the batch fails")
    raw: bool = Field(default=True, description="keep what a rejected row was; without it, it cannot be sent again")


class SlaOptions(Options):
    """What a pipeline promises; ``etl serve`` alerts where it is not kept."""

    max_age: DurationS | None = Field(default=None, description="how old the newest commit, or data, may be")
    of: Literal["commit", "data"] = Field(default="commit", description="data: the watermark instead of the commit")
    max_quarantined: float | None = Field(default=None, ge=0, le=1, description="of the rows of a batch")


class PipelineFile(Options):
    """The fixed part of a pipeline file; what has a ``type`` is looked into by it.

    Exactly one of ``source`` and ``sources`` is given, and of ``sink`` and ``sinks``.
    """

    version: Version = 1
    name: str | None = None
    description: str = ""
    source: dict[str, Any] | None = None
    sources: dict[str, dict[str, Any]] | None = Field(
        default=None, min_length=1, description="several, by name; the first is the main one, transforms take in others"
    )
    transforms: list[dict[str, Any]] = Field(default_factory=list)
    sink: dict[str, Any] | None = None
    sinks: list[dict[str, Any]] | None = Field(
        default=None, min_length=1, description="several, each of which takes every row; the first table is the own one"
    )
    trigger: TriggerOption = "available_now"
    isolation: Literal["none", "process"] = Field(
        default="none", description="process: under etl serve each run has a process of its own"
    )
    expect: list[ExpectationOptions] = Field(default_factory=list)
    quarantine: QuarantineOptions = Field(default_factory=QuarantineOptions)
    sla: SlaOptions = Field(default_factory=SlaOptions)
    tests: list[TrialOptions] = Field(default_factory=list)


def _null_as_word(value: object) -> object:
    """Return the policy that YAML takes for nothing at all."""
    return "null" if value is None else value


MissingOption = Annotated[
    MissingColumns,
    BeforeValidator(_null_as_word),
    Field(json_schema_extra={"type": ["string", "null"], "enum": ["null", "quarantine", "fail", None]}),
]


class ContractOptions(Options):
    """Each policy of a schema contract by itself."""

    new_columns: NewColumns = EVOLVE.new_columns
    type_change: TypeChange = EVOLVE.type_change
    missing_columns: MissingOption = EVOLVE.missing_columns


class SourceCommon(Options):
    """The keys that every source has."""

    type: str
    declared: dict[str, str] | None = Field(default=None, alias="schema", min_length=1)
    schema_contract: Literal["evolve", "rescue", "strict"] | ContractOptions | None = Field(
        default=None, description="default: evolve for an inferred schema, strict for a declared one"
    )
    batch: BatchOptions = Field(default_factory=BatchOptions)

    @property
    def contract(self) -> SchemaContract:
        """What becomes of input that the schema does not foresee; what is not said is as in the default."""
        default = EVOLVE if self.declared is None else STRICT
        if self.schema_contract is None:
            return default
        if isinstance(self.schema_contract, str):
            return CONTRACTS[self.schema_contract]
        given = {name: getattr(self.schema_contract, name) for name in self.schema_contract.model_fields_set}
        return replace(default, **given)


class SinkCommon(Options):
    """The keys that every sink has."""

    type: str
    name: str | None = Field(
        default=None, description="of one among several; default: its table, or its type; it cannot change later"
    )
    columns: list[str] | None = Field(default=None, min_length=1, description="what the sink takes; default: all")


@dataclass(frozen=True, slots=True)
class TransformSpec:
    """A validated entry of ``transforms:``; ``index`` is its place in the list, which may be a source's own."""

    key: str
    options: Options
    index: int
    source: str = ""

    @property
    def location(self) -> Location:
        """Its place in the file."""
        block = ("sources", self.source) if self.source else ()
        return (*block, "transforms", self.index, self.key)


@dataclass(frozen=True, slots=True)
class SourceSpec:
    """A validated ``source:``, or one of ``sources:``; ``schema`` is None where it is to be inferred.

    ``location`` is its place in the file. ``transforms`` are its own, ``reads`` what it reads, whole.
    """

    name: str
    location: Location
    type: str
    options: Options
    schema: Schema | None = None
    limit: ReadLimit = DEFAULT_LIMIT
    max_latency_s: float = 0.0
    contract: SchemaContract = EVOLVE
    transforms: tuple[TransformSpec, ...] = ()
    reads: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SinkSpec:
    """A validated ``sink:``, or one of ``sinks:``; ``table`` is its name for people, ``url`` its root.

    ``quarantine`` and ``quarantine_url`` are those of the table that rejected rows go to, ``late`` and ``late_url``
    those of the table of late rows: of the own sink. ``role`` is what it is called in records, ``location`` its place
    in the file. ``columns`` are those that it takes, None for all. Not ``is_table``: what is delivered to others.
    """

    type: str
    options: Options
    table: str
    url: str
    quarantine: str = ""
    quarantine_url: str = ""
    late: str = ""
    late_url: str = ""
    role: str = "main"
    location: Location = ("sink",)
    columns: tuple[str, ...] | None = None
    is_table: bool = True


@dataclass(frozen=True, slots=True)
class PipelineSpec:
    """A pipeline file, read and validated. ``document`` knows the positions, for faults found later.

    The first of the ``sources`` is the main one, ``sink`` the own one; ``further`` take the same rows. ``joins`` are
    URLs and patterns of static tables, each with the place of the transform that joins it. With a ``schedule``, which
    is a service's, a run takes what is available.
    """

    name: str
    sources: tuple[SourceSpec, ...]
    transforms: tuple[TransformSpec, ...]
    sink: SinkSpec
    path: Path
    description: str = ""
    trigger: TriggerName = "available_now"
    schedule: ScheduleOptions | None = None
    is_isolated: bool = False
    joins: tuple[tuple[Location, str], ...] = ()
    expect: tuple[ExpectationOptions, ...] = ()
    quarantine: QuarantineOptions = field(default_factory=QuarantineOptions)
    sla: SlaOptions = field(default_factory=SlaOptions)
    trials: tuple[Trial, ...] = ()
    document: Document = field(default_factory=lambda: Document(""), repr=False, compare=False)
    further: tuple[SinkSpec, ...] = ()

    @property
    def sinks(self) -> tuple[SinkSpec, ...]:
        """Its sinks, the own one first."""
        return (self.sink, *self.further)

    @property
    def source(self) -> SourceSpec:
        """The main source."""
        return self.sources[0]

    @property
    def reads(self) -> tuple[str, ...]:
        """What its sources read, whole."""
        return tuple(url for source in self.sources for url in source.reads)

    @property
    def keeps_late(self) -> bool:
        """Whether late rows are kept, in a table of their own."""
        return any(getattr(step.options, "late", "") == "table" for step in self.steps if step.key == "watermark")

    @property
    def tables(self) -> dict[Location, tuple[str, str]]:
        """Every table that it writes, its name and its URL, by the block of the file that says so; its own first."""
        own = self.sink
        found: dict[Location, tuple[str, str]] = {sink.location: (sink.table, sink.url) for sink in self.sinks}
        found["quarantine",] = (own.quarantine, own.quarantine_url)
        if self.keeps_late:
            found["late",] = (own.late, own.late_url)
        return found

    @property
    def steps(self) -> tuple[TransformSpec, ...]:
        """Every transform, those of the sources first."""
        return (*(step for source in self.sources for step in source.transforms), *self.transforms)


def dumped(options: Options) -> object:
    """Return options as plain values, without those that have their default."""
    return options.model_dump(mode="json", exclude_defaults=True, by_alias=True)
