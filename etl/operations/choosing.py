"""Which files are to be read again, of a pipeline that can take back what they gave before."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from etl.checkpoint.folder import find_checkpoint
from etl.errors import ConfigError, SourceError
from etl.flow import MAIN_ROLE
from etl.operations.tables import scan_url
from etl.resolutions import refuse_backfill
from etl.sources.file_choosing import Choice, Chosen
from etl.storage import open_storage

if TYPE_CHECKING:
    from etl.config.specification import SinkSpec
    from etl.operations.workspace import Workspace
    from etl.pipeline import Pipeline
    from etl.seam import Seam


@dataclass(frozen=True, slots=True)
class Wish:
    """Which files are to be read again, and the words in which it was said."""

    choice: Choice
    words: str


@dataclass(frozen=True, slots=True)
class Intended:
    """What a backfill would read. ``unread`` and ``repeated`` files are left out: see ``Chosen``.

    ``by`` is what finds the rows that go: the ``file`` that they came from, or their ``key``.
    """

    pipeline: str
    by: str
    files: Mapping[str, tuple[str, ...]]
    size_bytes: int
    unread: tuple[str, ...] = ()
    repeated: tuple[str, ...] = ()

    @property
    def count(self) -> int:
        """Return how many files there are."""
        return sum(len(paths) for paths in self.files.values())


def ready(workspace: Workspace, name: str, seam: Seam) -> tuple[Pipeline, str]:
    """Return a pipeline that can read files again, and what finds their rows. Raises ConfigError."""
    pipeline, sinks = workspace.wired(name, seam), workspace.spec(name).sinks
    refuse_unrun(pipeline, seam)
    modes = {
        sink.role: (getattr(sink.options, "write_mode", ""), getattr(sink.options, "provenance", True))
        for sink in sinks
    }
    refuse_backfill(pipeline.flow, modes)
    is_append = modes[MAIN_ROLE][0] == "append"
    for sink in sinks if is_append else ():
        _refuse_unknown_origin(workspace, sink, seam)
    return pipeline, "file" if is_append else "key"


def refuse_unrun(pipeline: Pipeline, seam: Seam) -> None:
    """Refuse a pipeline that has no checkpoint. Raises ConfigError."""
    if find_checkpoint(pipeline.checkpoint, seam, pipeline.generation) is None:
        raise ConfigError(
            "never ran: nothing was read yet", where=pipeline.name, hint=f"read it: etl run {pipeline.name}"
        )


def _refuse_unknown_origin(workspace: Workspace, sink: SinkSpec, seam: Seam) -> None:
    """Refuse a table with rows of which nobody knows the file: they may be those that would come again."""
    import polars as pl

    project = workspace.project
    if not open_storage(sink.url, seam, project.storage_options).list("_delta_log"):
        return
    rows = scan_url(project, sink.url, seam, name=sink.table)
    unknown = None
    if "_source_file" in rows.collect_schema():
        unknown = rows.select(pl.col("_source_file").null_count()).collect().item()
    if unknown != 0:
        told = "the table has no column _source_file" if unknown is None else f"{unknown:,} rows do not say their file"
        raise ConfigError(
            f"{told}: they may be of these files, and would be there twice",
            where=sink.table,
            hint="build the table anew: etl run --full-refresh",
        )


def intended(pipeline: Pipeline, by: str, choice: Choice) -> Intended:
    """Return what is chosen of every source that can read again. Raises ConfigError, SourceError where none can."""
    chosen: dict[str, Chosen] = {}
    refusals: list[SourceError] = []
    for name, source in pipeline.sources.items():
        choose: Callable[[Choice], Chosen] | None = getattr(source, "choose", None)
        if choose is None:
            continue
        try:
            chosen[name] = choose(choice)
        except SourceError as exc:
            refusals.append(exc)
    if not chosen:
        raise (
            refusals[0]
            if refusals
            else ConfigError(
                "has no source of files: what it read cannot be read again piece by piece",
                where=pipeline.name,
                hint=f"go back: etl rewind {pipeline.name} --to-batch N",
            )
        )
    _refuse_shared(pipeline, chosen)
    return Intended(
        pipeline.name,
        by,
        {name: found.paths for name, found in chosen.items() if found.paths},
        sum(found.size_bytes for found in chosen.values()),
        tuple(path for found in chosen.values() for path in found.unread),
        tuple(path for found in chosen.values() for path in found.repeated),
    )


def _refuse_shared(pipeline: Pipeline, chosen: Mapping[str, Chosen]) -> None:
    """Refuse files that several sources read: rows go by their file, and those of the others would not come again."""
    paths = Counter(path for found in chosen.values() for path in found.paths)
    shared = sorted(path for path, sources in paths.items() if sources > 1)
    if shared:
        raise ConfigError(
            f"{shared[0]} is read by several sources, whose rows cannot be told apart",
            where=pipeline.name,
            hint=f"build the table anew: etl run {pipeline.name} --full-refresh",
        )
