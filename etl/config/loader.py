"""The project and its pipelines from a folder; all faults of all files at once."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from etl.config.faults import ConfigFaults, Fault, nearest
from etl.config.interpolation import Surroundings, interpolate
from etl.config.lineage import check_after, check_together, in_order
from etl.config.pipeline_file import declared_name, read_pipeline
from etl.config.project_file import read_project
from etl.config.specification import PipelineSpec
from etl.config.yaml_reader import Document, read_yaml
from etl.errors import ConfigError
from etl.project import Project, default_project

PIPELINES = "pipelines"


def load(
    folder: Path, profile: str | None = None, names: Sequence[str] | None = None
) -> tuple[Project, list[PipelineSpec]]:
    """Return the project and its pipelines. Raises ConfigFaults with the faults of ``etl.yml`` and of the pipelines."""
    try:
        project = load_project(folder, profile)
    except ConfigFaults as of_project:
        try:
            load_pipelines(default_project(folder), names)
        except ConfigFaults as of_pipelines:
            raise ConfigFaults([*of_project.faults, *of_pipelines.faults]) from None
        raise
    return project, load_pipelines(project, names)


def load_project(folder: Path, profile: str | None = None) -> Project:
    """Return the project in ``folder``; without an ``etl.yml`` everything has its default. Raises ConfigFaults."""
    if not folder.is_dir():
        raise ConfigError("no such folder", where=str(folder))
    return read_project(_surroundings(Path(os.path.abspath(folder))), profile)


def load_pipelines(project: Project, names: Sequence[str] | None = None) -> list[PipelineSpec]:
    """Return the pipelines, each after those whose tables it reads; only ``names`` where given.

    With ``names``, faults of files that were not asked for do not count. Raises ConfigFaults, and ConfigError for a
    name that no pipeline has.
    """
    specs, faults = survey_pipelines(project)
    _check_names(names or (), faults)
    found = [fault for name, listed in faults.items() if names is None or name in names for fault in listed]
    if found:
        raise ConfigFaults(found)
    return [spec for spec in specs if names is None or spec.name in names]


def survey_pipelines(project: Project) -> tuple[list[PipelineSpec], dict[str, list[Fault]]]:
    """Return the pipelines whose files are right, in order, and the faults of every pipeline by its name."""
    documents: dict[str, Document] = {}
    specs: list[PipelineSpec] = []
    faults: dict[str, list[Fault]] = {}
    for path in pipeline_files(project.folder):
        file = path.relative_to(project.folder).as_posix()
        try:
            document = read_yaml(path, file)
        except ConfigFaults as exc:
            faults.setdefault(path.stem, []).extend(exc.faults)
            continue
        interpolate(document, _surroundings(project.folder))
        documents[file] = document
        if (spec := read_pipeline(document, path, project)) is not None:
            specs.append(spec)
    declared = {declared_name(document, Path(file)) for file, document in documents.items()}
    check_after(specs, declared | faults.keys())
    check_together(specs, project)
    for file, document in documents.items():
        faults.setdefault(declared_name(document, Path(file)), []).extend(document.faults)
    return in_order([spec for spec in specs if not spec.document.faults]), faults


def pipeline_files(folder: Path) -> list[Path]:
    """Return the pipeline files of a project folder, sorted by name."""
    found = (folder / PIPELINES).glob("*")
    return sorted(path for path in found if path.suffix in (".yml", ".yaml") and not path.name.startswith("."))


def _check_names(names: Iterable[str], known: Iterable[str]) -> None:
    for name in names:
        if name not in known:
            raise ConfigError(f"unknown pipeline '{name}'{nearest(name, sorted(known))}")


def _surroundings(folder: Path) -> Surroundings:
    return Surroundings(folder, os.environ)
