"""The recovery table of the protocol as a pure function: what was found at start, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from etl.errors import CheckpointError, TableStateError


@dataclass(frozen=True, slots=True)
class Found:
    """What a start found: newest batch ids, -1 where there is none.

    ``is_staged``: the newest plan has a manifest; ``is_whole``: all files of that manifest are there with their size.
    """

    planned: int
    committed: int
    table: int
    is_staged: bool = False
    is_whole: bool = True


class Step(Enum):
    """Where the walk goes on."""

    PLAN = "plan the next batch"
    STAGE = "read, transform and stage the planned batch again under a new attempt"
    RESTAGE = "stage again and publish a manifest that names the loss"
    COMMIT = "commit exactly the staged files"
    RECORD = "the table holds the batch: write its commit entry"


def refresh_command(pipeline: str) -> str:
    """Return the command that builds a pipeline's table anew."""
    return f"etl run {pipeline} --full-refresh"


def remake_advice(pipeline: str) -> str:
    """Return what to do about a checkpoint of which records were lost."""
    return (
        "records were removed or copied; restore the checkpoint folder from a copy, or move it away and make it again "
        f"from the tables: etl checkpoint rebuild {pipeline}"
    )


def next_step(found: Found, *, pipeline: str, table: str) -> Step:
    """Return what to do about ``found``. ``pipeline`` and ``table`` name what it is about, for people.

    Raises CheckpointError for logs that contradict one another and TableStateError (``table_ahead``,
    ``table_behind``) where checkpoint and table disagree. *Source*: the recovery table in ``docs/protocol.md``.
    """
    where = f"{pipeline}: {table}"
    _refuse_contradiction(found, where, pipeline)
    if found.planned == found.committed:
        return Step.PLAN
    if found.table == found.planned:
        if not found.is_staged:
            raise CheckpointError(
                f"the table holds batch {found.planned}, but its manifest is lost",
                where=where,
                hint=remake_advice(pipeline),
            )
        return Step.RECORD
    if not found.is_staged:
        return Step.STAGE
    return Step.COMMIT if found.is_whole else Step.RESTAGE


def _refuse_contradiction(found: Found, where: str, pipeline: str) -> None:
    refresh = refresh_command(pipeline)
    if found.planned - found.committed not in (0, 1):
        raise CheckpointError(
            f"the newest plan is of batch {found.planned}, the newest commit entry of batch {found.committed}",
            where=where,
            hint=remake_advice(pipeline),
        )
    if found.table > found.planned:
        raise TableStateError(
            "table_ahead",
            f"the table holds batch {found.table} of this pipeline, the checkpoint knows {_count(found.planned)}",
            where=where,
            hint="restore the newer checkpoint folder, or move this one away and make it again from the tables: "
            f"etl checkpoint rebuild {pipeline}, or build the table anew: {refresh}",
        )
    if found.table < found.committed:
        raise TableStateError(
            "table_behind",
            f"the checkpoint says that batch {found.committed} is committed, the table holds {_count(found.table)}",
            where=where,
            hint=f"the table was rolled back or lost its newest commits; restore it, or build it anew: {refresh}",
        )


def _count(batch_id: int) -> str:
    return "none" if batch_id < 0 else f"batches up to {batch_id}"
