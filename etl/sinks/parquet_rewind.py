"""Bringing a plain Parquet table back to what a pipeline's earlier batches gave it, by one further record.

The record names the batches that stay and takes the place of all; what other pipelines wrote is not touched.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from etl.errors import TableStateError
from etl.model import Manifest
from etl.sinks.parquet_commits import NOTHING, Commit

if TYPE_CHECKING:
    from etl.model import Json, StagedFile
    from etl.sinks.parquet_commits import Commits, Standing
    from etl.sinks.parquet_past import ParquetPast


@dataclass(frozen=True, slots=True)
class ParquetMove:
    """What brings a table back to the end of batch ``batch_id`` of ours (None: to none), found in version ``head``.

    ``removes`` are the files that go; ``adds`` are none, since files of batches that stay are never gone.
    """

    version: int
    head: int
    batch_id: int | None
    removes: tuple[str, ...]
    adds: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ParquetRewind:
    """One table of a pipeline. ``ours`` are the app ids whose batches are undone, the newest first."""

    table: str
    commits: Commits
    past: ParquetPast
    ours: tuple[str, ...]

    def before(self, app_id: str) -> int | None:
        """Return the version before the first of ``app_id``, None where it made none. Raises TableStateError."""
        standing = self.commits.standing()
        found = [] if standing is None else standing.of(app_id)
        return found[0].version - 1 if found else None

    def plan(
        self, version: int, batch_id: int | None, staged: Callable[[], Mapping[str, StagedFile]]
    ) -> ParquetMove | None:
        """Return how the table gets back; None where there is no table. Raises TableStateError where files are gone."""
        del staged
        standing = self.commits.standing()
        if standing is None:
            return None
        for file in (file for commit in self._kept(standing, batch_id) for file in commit.files):
            if self.past.storage.size(file.path) != file.size_bytes:
                raise TableStateError(
                    "not_rewound",
                    f"{file.path} is gone, or is not what it was",
                    where=self.table,
                    hint="nothing was changed; go back to an earlier batch, or: etl run PIPELINE --full-refresh",
                )
        going = (each for each in self._own(standing) if each.batch_id > _upto(batch_id))
        removes = sorted(file.path for each in going for file in each.files)
        return ParquetMove(version, standing.version, batch_id, tuple(removes))

    def _own(self, standing: Standing) -> list[Commit]:
        return [batch for batch in standing.live if batch.pipeline == self.past.pipeline]

    def _kept(self, standing: Standing, batch_id: int | None) -> tuple[Commit, ...]:
        return tuple(batch for batch in self._own(standing) if batch.batch_id <= _upto(batch_id))

    def carry_out(self, move: Mapping[str, Any], info: Mapping[str, Json], now_ms: Callable[[], int]) -> int:
        """Write the record that keeps the earlier batches alone. *Repeat*: returns the version of the first time.

        Raises TableStateError where the table is gone.
        """
        found = ParquetMove(**move)
        standing = self.commits.standing()
        if standing is None:
            raise TableStateError("not_rewound", "the table is gone", where=self.table)
        done = next((each for each in standing.of(self.past.app_id) if each.is_rewind), None)
        if done is None:
            attempt = self.past.app_id.partition("/")[0]
            kept = self._kept(standing, found.batch_id)
            done = self.commits.add(
                Commit(
                    self.past.app_id,
                    self.past.pipeline,
                    _upto(found.batch_id),
                    standing.version + 1,
                    Manifest(_upto(found.batch_id), attempt, {}, {}, {}, {}),
                    partition_by=kept[0].partition_by if kept else (),
                    replaces=self.ours,
                    info={"operation": "REWIND", "timestamp": now_ms(), **info},
                    kept=kept,
                    is_rewind=True,
                )
            )
        self.past.sweep()
        return done.version


def _upto(batch_id: int | None) -> int:
    return NOTHING if batch_id is None else batch_id
