"""Beginning a full refresh: the table is built anew, from the first file on, by the run that follows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from etl.binding import claim_of
from etl.checkpoint.refreshing import begin_generation
from etl.errors import StorageError
from etl.operations.looking import Sight

if TYPE_CHECKING:
    from etl.pipeline import Pipeline
    from etl.seam import Seam


def begin_refresh(pipeline: Pipeline, seam: Seam) -> int:
    """Begin a full refresh and return the number of the new generation, which ``wire`` finds from now on.

    The table is not touched: what the new generation builds takes the place of all that it holds in one version. Where
    it has several sinks, or its sink cannot build beside what readers see, that is its first batch. *Repeat*: begins
    another one. Raises LeaseHeldError, FencedError, SourceError where the source cannot be
    read from the beginning, TableStateError for a table whose log is torn.
    """
    _check(pipeline)
    try:
        is_beside = hasattr(pipeline.sink, "build_beside") and not pipeline.flow.further
        return begin_generation(pipeline.checkpoint, pipeline.name, seam, is_beside=is_beside)
    except OSError as exc:
        raise StorageError(exc.strerror or str(exc), where=str(exc.filename or pipeline.url)) from exc


def _check(pipeline: Pipeline) -> None:
    """Refuse what would leave the pipeline with a refresh that cannot be carried out. Raises EtlError."""
    for source in pipeline.sources.values():
        source.check_replay()
    pipeline.sink.table_id()


def look_at_refresh(pipeline: Pipeline) -> Sight:
    """Return how a full refresh would begin, of a pipeline that is wired for the next generation. Changes nothing.

    Raises SourceError, TableStateError as ``begin_refresh`` does.
    """
    for role, sink in pipeline.flow.sinks.items():
        sink.bind("", claim_of(pipeline.flow, role), ())
    _check(pipeline)
    return Sight(pipeline, is_replacing=True)
