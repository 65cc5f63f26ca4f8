"""What a source is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from etl.errors import SourceChangedError
from etl.model import Json, Offset, PlannedInput, ReadLimit, Schema
from etl.project import Project
from etl.schema_contract import EVOLVE, SchemaContract, Survey
from etl.seam import Seam
from etl.storage import Storage

if TYPE_CHECKING:
    import polars as pl

    from etl.balance import Tally


@dataclass(frozen=True, slots=True)
class SourceSite:
    """Where a source lives: handed to it when a pipeline is wired.

    ``ledger`` is the checkpoint's folder ``sources/<name>``; ``folder`` the project's, which relative paths start from.
    ``project`` knows where tables are; None for that of a folder without ``etl.yml``.
    """

    name: str
    folder: Path
    ledger: Storage
    seam: Seam
    storage_options: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    memory_bytes: int = 2_000_000_000
    contract: SchemaContract = EVOLVE
    project: Project | None = None


@dataclass(slots=True)
class Reading:
    """Rows of one attempt, to be consumed once.

    ``rows``: the columns of the schema, in order, and the system columns that were asked for.
    While the rows stream, the source counts ``read`` into the tally and fills ``units`` (what it found
    per unit, for the manifest: rows per file, files gone missing), ``bytes_read`` and ``wide`` (as in a Survey).
    """

    rows: pl.LazyFrame
    units: dict[str, Json] = field(default_factory=dict)
    bytes_read: int = 0
    wide: set[str] = field(default_factory=set)


class Source(Protocol):
    """Replayable input. One instance per pipeline run; called by the engine from one thread.

    Further methods are called where a source has them: ``take_notes() -> list[str]``, after each look, for what people
    should hear of since the last call; ``lags(now) -> list[Lag]``, by ``etl status``, for how far each log is behind,
    and ``versions_behind(after) -> int``, for how many versions of a table are.
    A source whose rows are a changing result (column ``_change``) has ``result_keys``, by which its rows are found; the
    rows of one batch have each key once.
    """

    @property
    def declared_schema(self) -> Schema | None:
        """The schema of the YAML file, None where it is inferred."""

    @property
    def folded_upto(self) -> int | None:
        """The newest batch whose units the source's own ledger holds, None for none."""

    def restore(self, committed: list[tuple[int, PlannedInput]]) -> None:
        """Take in the plans that the source's own ledger does not hold yet, oldest first, with their batch ids.

        Called at start, before ``latest``, as often as there are such plans.
        *Repeat*: a plan that the ledger holds already is ignored.
        """

    def latest(self, after: Offset | None, limit: ReadLimit) -> PlannedInput | None:
        """Return the next units after ``after`` within ``limit``, None for none. Looks, takes nothing."""

    def accept(self, batch_id: int, planned: PlannedInput) -> None:
        """Remember that the plan record of ``planned`` is durable: ``latest`` must not offer it again."""

    def watched(self) -> tuple[str, ...]:
        """Return local folders in which new input shows by an event; none where there are no events to be had."""

    def refresh(self, planned: PlannedInput, cause: SourceChangedError) -> PlannedInput:
        """Return the same units as they are now, without those that may go missing and those that are not ready.

        What is not ready is offered again by a later ``latest``. Called only before anything of the units was
        published. Raises ``cause`` (or another SourceError) where the options forbid to go on.
        """

    def survey(self, planned: PlannedInput, known: Survey | None, now: datetime) -> Survey:
        """Return ``known`` evolved by everything that the units hold, as far as the schema contract allows.

        The result depends on ``known``, the units and ``now`` alone, and not on how rows are cut into batches. None is
        the first look of all, without a declared schema. Raises NotReadyError for units that cannot be read and are
        younger, at ``now``, than the options allow, RowError where the contract says ``fail``.
        """

    def read(self, planned: PlannedInput, known: Survey, system: tuple[str, ...], tally: Tally) -> Reading:
        """Return the rows of the units in the columns of ``known.schema``, with the ``system`` columns named.

        Rows that do not fit go into ``tally.quarantine``, counted as ``read`` like all others; so does a file in
        ``known.unreadable``, as one row. *Repeat*: gives the same rows again, or raises. Raises (while the rows stream)
        SourceChangedError; SchemaDriftError and UnreadableFileError, after which the caller surveys the whole input and
        reads again; RowError where the contract says ``fail``.
        """

    def acknowledge(self, batch_id: int, planned: PlannedInput) -> None:
        """Dispose of the units of a committed batch (keep, archive, delete). *Repeat*: safe."""

    def close(self) -> None:
        """Let go of threads and handles. Called when a run ends, however it does. *Repeat*: safe."""

    def check_replay(self) -> None:
        """Refuse a full refresh whose result would lack rows that were read before. Called before one is begun.

        Raises SourceError where the options make input unreachable once it was read.
        """

    def fold(self, upto: int) -> None:
        """Compact the ledger of batches ``<= upto``, all committed. Losing it loses nothing."""
