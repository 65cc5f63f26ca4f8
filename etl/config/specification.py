"""What the YAML files may say: strict models of their fixed parts, and the validated specification of a pipeline."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BeforeValidator, Field

from etl.config.faults import Location
from etl.config.trials import Trial, TrialOptions
from etl.config.yaml_reader import Document
from etl.model import ReadLimit, Schema
from etl.notifying import ReceiverOptions
from etl.options import DurationS, Options, SizeBytes
from etl.project import DEFAULT_LIMIT, DEFAULT_MEMORY_BYTES
from etl.schema_contract import CONTRACTS, EVOLVE, STRICT, MissingColumns, NewColumns, SchemaContract, TypeChange
from etl.transforms.expectations import ExpectationOptions

TriggerName: TypeAlias = Literal["available_now", "once", "continuous"]


def _known_version(value: object) -> object:
    """Refuse every version but 1; true, which Python takes for 1, too."""
    if value is True or value != 1:
        raise ValueError("only version 1 is known")
    return value


Version = Annotated[Literal[1], BeforeValidator(_known_version)]


def _option_text(value: object) -> object:
    """Return a scalar as object stores want it: ``true`` and numbers as text."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int | float) else value


StorageOption = Annotated[
    str, BeforeValidator(_option_text), Field(json_schema_extra={"type": ["string", "boolean", "number"]})
]
Storage: TypeAlias = dict[Annotated[str, Field(pattern=r"^[a-z][a-z0-9+.-]*$")], dict[str, StorageOption]]


class BatchOptions(Options):
    """How much one batch takes; the first bound reached counts."""

    max_files: Annotated[int, Field(ge=1)] | None = None
    max_bytes: SizeBytes | None = None
    max_rows: Annotated[int, Field(ge=1)] | None = None
    max_latency: DurationS = Field(default=0.0, description="how long a continuous run waits for a batch to fill")

    def limit(self, default: ReadLimit) -> ReadLimit:
        """Return the read limit; a bound that is not given is that of ``default``."""
        bounds = ("max_files", "max_bytes", "max_rows")
        given = {name: getattr(self, name) for name in self.model_fields_set if name in bounds}
        return ReadLimit(**{name: given.get(name, getattr(default, name)) for name in bounds})


class DefaultsOptions(Options):
    """What pipelines do unless they say otherwise."""

    batch: BatchOptions = Field(default_factory=BatchOptions)


class ProfileFile(Options):
    """The keys of ``etl.yml`` that a profile may overlay."""

    lake: Annotated[str, Field(min_length=1)] = "lake"
    storage: Storage = Field(default_factory=dict)
    defaults: DefaultsOptions = Field(default_factory=DefaultsOptions)
    memory: SizeBytes = DEFAULT_MEMORY_BYTES
    alerts: list[ReceiverOptions] = Field(default_factory=list, description="who is told when something goes wrong")


class ProjectFile(ProfileFile):
    """``etl.yml``."""

    version: Version = 1
    profiles: dict[str, ProfileFile] = Field(default_factory=dict)


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
    trigger: TriggerName = "available_now"
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
    URLs and patterns of static tables, each with the place of the transform that joins it.
    """

    name: str
    sources: tuple[SourceSpec, ...]
    transforms: tuple[TransformSpec, ...]
    sink: SinkSpec
    path: Path
    description: str = ""
    trigger: TriggerName = "available_now"
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
