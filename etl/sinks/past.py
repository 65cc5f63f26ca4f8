"""What a table has been, whatever it is made of: its versions, its live files, and the way back.

A sink whose table keeps versions has it as ``past``; the operations look at tables through it alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from etl.model import Json, Manifest, StagedFile
    from etl.storage import Storage


@dataclass(frozen=True, slots=True)
class LoggedVersion:
    """A version as its log entry tells it. Paths are those on disk.

    ``batches`` are the transactions in it, by app id. ``has_data_change`` tells whether rows came, went or changed.
    ``changes`` are the files of its change feed.
    """

    version: int
    info: Mapping[str, Any]
    batches: Mapping[str, int]
    added: Mapping[str, Mapping[str, Any]]
    removed: frozenset[str]
    has_data_change: bool
    changes: frozenset[str] = frozenset()

    @property
    def at_ms(self) -> int | None:
        """When it was made, in milliseconds since 1970, None where its writer did not say."""
        found = self.info.get("inCommitTimestamp") or self.info.get("timestamp")
        return None if found is None else int(found)


@dataclass(frozen=True, slots=True)
class LiveFile:
    """A file of the newest version; ``rows`` is None where its writer did not say."""

    size_bytes: int
    rows: int | None


@dataclass(frozen=True, slots=True)
class Torn:
    """The newest entry of a table's log, where it is torn; ``name`` is that for people.

    ``version`` is what it was to be, None where nothing tells. ``is_ours`` is None where the entry itself does not say
    whose it was; then ``content`` may.
    """

    name: str
    version: int | None
    content: bytes
    is_ours: bool | None = None


class TableHead(Protocol):
    """The newest version of a table; ``batch_id`` is that of our own batches."""

    @property
    def version(self) -> int:
        """Its number."""

    @property
    def table_id(self) -> str:
        """The identity of the table."""

    @property
    def batch_id(self) -> int | None:
        """The newest batch of ours, None for none; ``SUPERSEDED`` where others took the place of ours."""


class TableMoving(Protocol):
    """Bringing one table back to what it held in an earlier version. What it takes is a dataclass of plain values."""

    def before(self, app_id: str) -> int | None:
        """Return the version before the first of ``app_id``, None where it made none. Raises TableStateError."""

    def plan(self, version: int, batch_id: int | None, staged: Callable[[], Mapping[str, StagedFile]]) -> Any:  # noqa: ANN401
        """Return how the table gets back to ``version``; None where there is no table. Raises TableStateError."""

    def carry_out(self, move: Mapping[str, Any], info: Mapping[str, Json], now_ms: Callable[[], int]) -> int:
        """Bring the table back in one version and return it. *Repeat*: the version of the first time."""


class Past(Protocol):
    """The log and the folder of one table, looked at as our transactions ``app_id`` see it."""

    storage: Storage
    app_id: str

    def head(self) -> TableHead | None:
        """Return the newest version, None where there is no table. Raises TableStateError for a torn log."""

    def refuse_rollback_since(self, version: int) -> None:
        """Refuse a table that was restored to before ``version``, which is ours. Raises TableStateError."""

    def logged(self) -> list[int]:
        """Return the versions whose log entries are still there, the oldest first."""

    def version(self, number: int) -> LoggedVersion:
        """Return one version. Raises FileNotFoundError, TableStateError where its entry is torn."""

    def versions(self, after: int = -1) -> Iterator[LoggedVersion]:
        """Yield the versions behind ``after`` that the log still tells of, the oldest first. Raises TableStateError."""

    def files(self) -> Mapping[str, LiveFile]:
        """Return the data files of the newest version, by their path on disk."""

    def lying(self) -> list[str]:
        """Return every data file in the table's folder, whatever refers to it."""

    def rows_in(self, path: str) -> int:
        """Return the rows of a file, by its own footer. Raises OSError, ValueError where it cannot be read."""

    def torn(self) -> Torn | None:
        """Return the newest log entry where it is torn."""

    def set_aside(self, torn: Torn) -> None:
        """Rename a torn log entry, so that it can be made again. *Repeat*: safe. By its pipeline's runner."""

    def lost(self, told: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
        """Return those of our committed batches, with their versions, that the table lacks and may be given again.

        ``told`` are all of them, oldest first.
        """

    def moving(self, table: str, ours: tuple[str, ...]) -> TableMoving:
        """Return the way back; ``ours`` are the app ids whose versions are undone, the newest first."""


class Renewable(Protocol):
    """A sink whose table has a past: a batch that it lost at its end can be committed again."""

    def commit_as(self, manifest: Manifest, info: dict[str, Json], version: int, table_id: str) -> int:
        """Commit a batch as the version that it had, in the table that ``table_id`` was the identity of.

        *Repeat*: safe. Returns the version.
        """
