"""The tests of pipeline files, carried out: real runs in a folder of their own, which is gone afterwards."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from etl.config.faults import nearest
from etl.config.wiring import wire
from etl.engine import run
from etl.errors import ConfigError, EtlError, SourceError
from etl.formats import format_of
from etl.formats.contract import FileOpener
from etl.formats.ndjson import Ndjson
from etl.model import ReadLimit, Schema
from etl.operations.comparing import Difference, as_lines, as_text, difference
from etl.operations.tables import is_table, scan_url
from etl.progress import Silent
from etl.sinks.delta_options import DeltaOptions
from etl.sources.file_formats import FileFormats
from etl.sources.file_options import FileOptions
from etl.storage import LocalStorage
from etl.testing import ManualClock, temporary_folder

if TYPE_CHECKING:
    import polars as pl

    from etl.config.specification import PipelineSpec, SinkSpec, SourceSpec
    from etl.config.trials import GivenBatch, Rows, Trial
    from etl.operations.workspace import Workspace
    from etl.project import Project

_TEXTS = ("csv", "tsv")
"""Formats in which a column without a declared type is text."""

_FOLDER = ".folder"
"""A file that makes its folder: nothing may be given, but the folder must be there."""


@dataclass(frozen=True, slots=True)
class TrialResult:
    """How a test went. ``error`` is why a run failed; ``aside`` counts rows that were set aside, with the reason."""

    pipeline: str
    name: str
    error: str = ""
    differences: tuple[Difference, ...] = ()
    aside: tuple[str, ...] = ()

    @property
    def is_ok(self) -> bool:
        """Whether all came as expected."""
        return not self.error and not self.differences


def try_pipelines(workspace: Workspace, names: Sequence[str] | None = None) -> Iterator[TrialResult]:
    """Carry out the tests of the pipelines, or of those named, one after the other. Raises ConfigError."""
    for spec in workspace.specs(names):
        for trial in spec.trials:
            with temporary_folder() as folder:
                yield _Attempt(spec, workspace.project, trial, folder).result()


@dataclass(frozen=True, slots=True)
class _Attempt:
    """A test that is carried out in ``folder``."""

    spec: PipelineSpec
    project: Project
    trial: Trial
    folder: Path

    def result(self) -> TrialResult:
        """Run every batch, then look at the tables."""
        done = TrialResult(self.spec.name, self.trial.name)
        project = replace(self.project, lake=f"{self.folder}/lake")
        spec = _moved(self.spec, project, self.trial, self.folder)
        try:
            self._run(spec, project)
        except EtlError as exc:
            return done if self.trial.error and self.trial.error in str(exc) else replace(done, error=str(exc))
        if self.trial.error:
            return replace(done, error=f"the run did not fail; expected was: {self.trial.error}")
        try:
            found = tuple(self._differences(spec, project))
        except ConfigError as exc:
            return replace(done, error=str(exc))
        return replace(done, differences=found, aside=tuple(_aside(spec, project)) if found else ())

    def _run(self, spec: PipelineSpec, project: Project) -> None:
        clock = ManualClock(self.trial.at)
        for name in _sources(spec):
            LocalStorage(self.folder, clock).create(f"given/{name}/{_FOLDER}", b"", effect="trial.give")
        for number, batch in enumerate(self.trial.batches):
            _move(clock, batch)
            self._give(spec, project, batch, number)
            run(wire(spec, project, clock), clock, Silent())

    def _give(self, spec: PipelineSpec, project: Project, batch: GivenBatch, number: int) -> None:
        """Put the rows of a batch where the pipeline reads them; those of static tables into their tables."""
        import polars as pl

        storage = LocalStorage(self.folder, ManualClock())
        for name, given in batch.given.items():
            if name not in _sources(spec):
                pl.DataFrame(given, infer_schema_length=None).write_delta(project.table_url(name), mode="overwrite")
            elif given:
                content = (
                    given.encode() if isinstance(given, str) else as_lines(_spelt(given, _sources(self.spec)[name]))
                )
                storage.create(f"given/{name}/{number:06}", content, effect="trial.give")

    def _differences(self, spec: PipelineSpec, project: Project) -> Iterator[Difference]:
        """Yield how each expected table differs. Raises ConfigError for a table that the pipeline does not write."""
        for name, expected in self.trial.expected.items():
            table, url = _table(spec, name)
            found = difference(table, expected, _rows(project, url), is_exact=self.trial.is_exact)
            if found is not None:
                yield found


def _move(clock: ManualClock, batch: GivenBatch) -> None:
    if batch.at is not None:
        clock.advance((batch.at - clock.now()).total_seconds())
    clock.advance(batch.advance_s)


def _sources(spec: PipelineSpec) -> Mapping[str, SourceSpec]:
    """Return the sources by the names that tests give rows under."""
    return {source.name: source for source in spec.sources}


def _moved(spec: PipelineSpec, project: Project, trial: Trial, folder: Path) -> PipelineSpec:
    """Return the pipeline with its sources and tables in the folder of a test; all else is as it is."""
    texts = {name for batch in trial.batches for name, given in batch.given.items() if isinstance(given, str)}
    sources = tuple(
        _given_source(source, trial, folder / "given" / source.name, is_text=source.name in texts)
        for source in spec.sources
    )
    further = tuple(_moved_sink(sink, project) for sink in spec.further)
    return replace(spec, sources=sources, sink=_moved_sink(spec.sink, project), further=further)


def _given_source(source: SourceSpec, trial: Trial, folder: Path, *, is_text: bool) -> SourceSpec:
    """Return a source of what is given: files of its own format, or NDJSON with the types that this format gives."""
    chosen: dict[str, Any] = {"path": f"{folder}/*", "format": "ndjson", "order": "name", "unready_for": "0s"}
    chosen["exclude"] = [_FOLDER]
    if is_text:
        chosen |= {"format": _format(source), "format_options": getattr(source.options, "format_options", {})}
    types = source.schema if is_text else _types(source, trial)
    options = FileOptions.model_validate(chosen)
    return replace(source, type="files", options=options, schema=types, limit=ReadLimit(max_files=1))


def _types(source: SourceSpec, trial: Trial) -> Schema | None:
    """Return the types of given rows: those that the source declares, or its format has, or the test; else None.

    Columns that none of them knows have the type that NDJSON gives them.
    """
    if source.schema is not None:
        return {**trial.schema, **source.schema}
    known = {**_natural(source), **trial.schema}
    rows = [given for batch in trial.batches for given in batch.given.get(source.name, ())]
    if not known:
        return None
    content = as_lines(row for row in rows if isinstance(row, dict))
    return {**Ndjson().survey(FileOpener("given", len(content), lambda: BytesIO(content)), None).schema, **known}


def _format(source: SourceSpec) -> Any:  # noqa: ANN401  a name, or a pattern
    """Return the format of a source: the declared one, else what the ending of its path says, else NDJSON."""
    declared = getattr(source.options, "format", None)
    if declared is not None:
        return declared
    paths = [getattr(source.options, "path", None), *getattr(source.options, "include", ())]
    for path in filter(None, paths):
        with suppress(ConfigError):
            return format_of(path)
    return "ndjson"


def _natural(source: SourceSpec) -> Schema:
    """Return the columns of a format that has columns of its own: those of no lines at all."""
    form = _format(source)
    if form in ("ndjson", *_TEXTS):
        return {}
    formats = FileFormats(form, getattr(source.options, "format_options", {}), source.contract)
    try:
        return formats.of("given").survey(FileOpener("given", 0, lambda: BytesIO(b"")), None).schema
    except (SourceError, ConfigError):
        return {}


def _spelt(rows: Rows, source: SourceSpec) -> Rows:
    """Return rows as the source's format would hold them: what is text in CSV may be written as a number."""
    if _format(source) not in _TEXTS:
        return rows
    types = source.schema or {}
    return [
        {name: as_text(value) if types.get(name, "string") == "string" else value for name, value in row.items()}
        for row in rows
    ]


def _moved_sink(sink: SinkSpec, project: Project) -> SinkSpec:
    """Return a sink whose tables are in the folder of a test; one that is no table becomes one.

    Nothing is delivered by a test: what others would have got is in a table of the same keys.
    """
    quarantine, late = (f"{project.lake}/{role}/table" for role in ("quarantine", "late"))
    url = f"{project.lake}/{sink.role}/table"
    moved = replace(sink, url=url, quarantine_url=quarantine, late_url=late, is_table=True)
    if sink.type in ("delta", "parquet"):
        return moved
    kept = ("primary_key", "sequence_by", "delete_when") if sink.type == "key_value" else ()
    options: dict[str, Any] = {name: getattr(sink.options, name) for name in kept}
    if kept:
        options["write_mode"] = "merge"
    return replace(moved, type="delta", options=DeltaOptions(path=url, provenance=sink.is_table, **options))


def _table(spec: PipelineSpec, name: str) -> tuple[str, str]:
    """Return the name and URL of a table by its role, or its name. Raises ConfigError."""
    own = spec.sink
    tables = {
        "late": (own.late, own.late_url),
        "quarantine": (own.quarantine, own.quarantine_url),
        **{sink.role: (sink.table, sink.url) for sink in spec.sinks},
    }
    for role, (named, url) in tables.items():
        if name in (role, named):
            return named, url
    known = [named for named, _ in tables.values()]
    raise ConfigError(f"expect: the pipeline writes no table '{name}'{nearest(name, known)}")


def _rows(project: Project, url: str) -> pl.DataFrame:
    """Return the rows of a table, none where nothing was ever written."""
    import polars as pl

    if not is_table(LocalStorage(Path(url), ManualClock())):
        return pl.DataFrame()
    return scan_url(project, url, ManualClock()).collect()


def _aside(spec: PipelineSpec, project: Project) -> Iterator[str]:
    """Yield what was set aside, for people who look for a missing row."""
    rejected = _rows(project, spec.sink.quarantine_url)
    if rejected.height:
        yield f"{rejected.height:,} in the quarantine, the first: {rejected['rule'][0]}, {rejected['reason'][0]}"
    late = _rows(project, spec.sink.late_url)
    if late.height:
        yield f"{late.height:,} late"
