"""What a transform is."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeAlias, runtime_checkable

if TYPE_CHECKING:
    import polars as pl

    from etl.balance import Tally
    from etl.model import BatchPlan, Json
    from etl.project import Project
    from etl.state.contract import Fingerprint, State, StateChange, TableLayout


Origins: TypeAlias = "Mapping[str, frozenset[str]]"
"""Columns of the output, each with the columns of the input that its values are computed from."""


@dataclass(frozen=True, slots=True)
class TransformSite:
    """Where a transform stands: ``folder`` is the project's, ``index`` its place in the list.

    ``source`` is the source whose own transforms these are, empty in the pipeline's list. ``has_watermark``: one stands
    before it, here or in a source that it takes in. ``is_whole``: the sink takes the whole result with every batch
    (``write_mode: overwrite``) and this is the last stateful transform. ``time_column`` is the column of the last
    watermark before it, empty where none. ``is_main``: the main rows pass through it, and no other source's. A
    transform that a query was planned onto has the ``key`` of the query, and the ``clause`` that it carries out.
    ``project`` knows where tables are.
    """

    folder: Path
    index: int
    source: str = ""
    has_watermark: bool = False
    is_whole: bool = False
    time_column: str = ""
    is_main: bool = False
    key: str = ""
    clause: str = ""
    project: Project | None = None

    def place(self, label: str) -> str:
        """Return the ``where`` of its errors.

        >>> TransformSite(Path(), 1).place("filter")
        'transforms[1].filter'
        >>> TransformSite(Path(), 1, key="sql", clause="HAVING").place("filter")
        'transforms[1].sql (HAVING)'
        """
        block = f"sources.{self.source}." if self.source else ""
        clause = f" ({self.clause})" if self.clause else ""
        return f"{block}transforms[{self.index}].{self.key or label}{clause}"


@dataclass(frozen=True, slots=True)
class Moment:
    """What a stateful transform knows of time: the plan of its batch, and the pipeline's watermark around it.

    Moments of event time are microseconds since 1970 in UTC, None where there is no watermark (yet). ``before_us``
    decides what is late. ``after_us`` decides what is final; it is known once all rows of the batch have been read:
    ask for it when the input was collected, not before. ``has_watermark`` tells whether the pipeline has one at all.
    """

    plan: BatchPlan
    before_us: int | None
    after_us: Callable[[], int | None]
    has_watermark: bool = True


@dataclass(frozen=True, slots=True)
class Stepped:
    """What a stateful transform makes of a batch: its rows, and the changes to each of its tables of state."""

    rows: pl.DataFrame
    changes: Mapping[str, StateChange] = field(default_factory=dict)


class Transform(Protocol):
    """A pure step over the rows of a batch.

    One that may make several rows of one says ``adds_rows = True``, one that may set rows aside ``keeps_rows = True``.
    One whose columns are not those of the same name in its input says by ``origins(given) -> Origins`` what they are
    computed from; those that it leaves out come from their namesakes.
    """

    @property
    def label(self) -> str:
        """The key of the YAML file (``filter``)."""

    def output_schema(self, given: pl.Schema) -> pl.Schema:
        """Return the columns that ``apply`` will give. Called before any row flows, and again when the schema evolves.

        Raises ConfigError naming the unknown column or the wrong type.
        """

    def apply(self, rows: pl.LazyFrame, plan: BatchPlan, tally: Tally) -> pl.LazyFrame:
        """Return the rows changed, with those that leave or join counted into ``tally`` where it happens.

        *Repeat*: the same result.
        """


class Combining(Protocol):
    """A pure step that takes in the rows of further sources and remembers nothing.

    Known by its method ``combine``, which is called instead of ``apply``.
    """

    inputs: tuple[str, ...]
    """The sources whose rows it takes, by name; each belongs to one transform alone."""

    @property
    def label(self) -> str:
        """The key of the YAML file (``union``)."""

    def without(self, names: Collection[str]) -> Transform:
        """Return the same step without sources of which neither a column nor a row is known yet."""

    def output_schema(self, given: pl.Schema, *others: pl.Schema) -> pl.Schema:
        """Return the columns that ``combine`` will give; ``others`` are those of ``inputs``, in order.

        Raises ConfigError.
        """

    def combine(self, rows: pl.LazyFrame, others: tuple[pl.LazyFrame, ...]) -> pl.LazyFrame:
        """Return the rows of all. *Repeat*: the same result."""


@runtime_checkable
class Pinned(Protocol):
    """A transform that reads more than the rows of its batch: versions that the plan fixes."""

    pin_id: str
    """Its name among the pins of a plan; it stays the same as long as the pipeline file does."""

    def pin(self) -> Json:
        """Return what names the present version of all that it reads beside the rows. Called before a batch is planned.

        ``apply`` then reads exactly what ``plan.pins[pin_id]`` names, at every attempt, or raises PinChangedError.
        Raises ConfigError.
        """


class Stateful(Protocol):
    """A pure step from the rows of a batch and state n-1 to rows and the changes that make state n.

    Known by its attribute ``is_stateful = True``. What it gives may lie behind the watermark by its ``behind_us``
    (microseconds, none where it lacks it): rows that it holds back. ``warnings()``, where it has it, says what people
    should know before they run it. Input and output may be a changing result: rows with the column ``_change``
    (``etl.model.CHANGE``); a step that cannot take those refuses them in ``output_schema``.
    """

    label: str
    inputs: tuple[str, ...]
    """The further sources whose rows it takes, by name; usually none."""

    def output_schema(self, given: pl.Schema, *others: pl.Schema) -> pl.Schema:
        """Return the columns that ``step`` will give; ``others`` are those of ``inputs``, in order.

        Where rows of the input do not survive as themselves, no system column is among them: ``_batch_id`` and
        ``_ingested_at`` of the batch are added by the caller. Raises ConfigError.
        """

    def layouts(self, given: pl.Schema, *others: pl.Schema) -> Mapping[str, TableLayout]:
        """Return the tables of its state. Called after ``output_schema``."""

    def fingerprint(self) -> Fingerprint:
        """Return what its state is made by."""

    def step(self, rows: tuple[pl.LazyFrame, ...], state: State, moment: Moment, tally: Tally) -> Stepped:
        """Return what becomes of a batch. ``rows``: its input, then those of ``inputs``.

        Counts where it happens: a row that state takes in as ``folded``, one that comes out of it as ``added``, a
        duplicate as ``deduplicated``, a late one by ``tally.set_late``. Called for batches without rows too.
        *Repeat*: the same result; nothing is written.
        """

    def next_due_us(self, state: State, moment: Moment) -> int | None:
        """Return when, by the clock of batches (``plan.batch_at``), a batch without rows would give something.

        Microseconds since 1970; None where time alone changes nothing. Asked only where the attribute ``has_timeouts``
        is true.
        """
