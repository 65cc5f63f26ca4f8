"""A project folder to write files into, and small sources, transforms and sinks that pipeline files may name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from textwrap import dedent
from typing import Any, Literal

import pytest
from pydantic import Field, model_validator

import etl.sinks
import etl.sources
import etl.transforms
from etl.config.faults import ConfigFaults
from etl.errors import ConfigError
from etl.model import ReadLimit
from etl.options import DurationS, Options


class ArchiveTo(Options):
    archive: str


class FolderOptions(Options):
    path: str | None = None
    include: list[str] = Field(default_factory=list)
    format: Literal["ndjson", "csv"] = "ndjson"
    stable_for: DurationS = 0.0
    after_commit: Literal["keep", "delete"] | ArchiveTo = "keep"

    def check_limit(self, limit: ReadLimit) -> None:
        if limit.max_rows is not None and self.format == "csv":
            raise ConfigError("rows of csv are not known before reading", where="batch.max_rows", hint="use max_bytes")


class FolderSource:
    options_model = FolderOptions

    def __init__(self, options: FolderOptions, schema: Any, site: Any) -> None:
        if options.path == "landing/refused":
            raise ConfigError("this folder is refused", hint="take another")
        self.options, self.declared_schema, self.site = options, schema, site


class Conditions(Options):
    conditions: list[str]

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, value: Any) -> Any:
        return {"conditions": [value] if isinstance(value, str) else value}


class KeysOptions(Options):
    keys: list[str]
    within: DurationS | None = None


class PythonOptions(Options):
    function: str

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, value: Any) -> Any:
        return {"function": value}


class Step:
    def __init__(self, options: Any, site: Any) -> None:
        self.options, self.site = options, site

    def output_schema(self, given: Any) -> Any:
        for column in getattr(self.options, "keys", []):
            if column not in given:
                raise ConfigError(f"unknown column '{column}'")
        return given


class FilterStep(Step):
    options_model = Conditions
    label = "filter"


class KeysStep(Step):
    options_model = KeysOptions
    label = "deduplicate"


class PythonStep(Step):
    options_model = PythonOptions
    label = "python"


class TableOptions(Options):
    table: str | None = None
    path: str | None = None
    write_mode: Literal["append"] = "append"
    provenance: bool = True
    password: str = ""


class TableSink:
    options_model = TableOptions

    def __init__(self, options: TableOptions, site: Any) -> None:
        self.options, self.site, self.table = options, site, site.table

    def prepare(self, rows: Any, *, may_widen: bool = False) -> Any:
        del may_widen
        if "forbidden" in rows:
            raise ConfigError("column 'forbidden' cannot be stored")
        return dict(rows)


@pytest.fixture(autouse=True)
def small_registries(monkeypatch: pytest.MonkeyPatch) -> None:
    steps = {"filter": FilterStep, "deduplicate": KeysStep, "python": PythonStep}
    monkeypatch.setattr(etl.sources, "SOURCES", {"files": FolderSource}, raising=False)
    monkeypatch.setattr(etl.transforms, "TRANSFORMS", steps, raising=False)
    monkeypatch.setattr(etl.sinks, "SINKS", {"delta": TableSink}, raising=False)


Write = Callable[[str, str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a file of the project, dedented."""

    def write_file(name: str, text: str) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(text).lstrip("\n"), "utf-8")
        return path

    return write_file


@pytest.fixture
def faults_of() -> Callable[[Callable[[], object]], list[str]]:
    """Return the faults that a call raises, as text, without what surrounds them."""

    def collect(call: Callable[[], object]) -> list[str]:
        with pytest.raises(ConfigFaults) as caught:
            call()
        return [
            f"{fault.line}:{fault.column} {f'{fault.path}: ' if fault.path else ''}{fault.message}"
            for fault in caught.value.faults
        ]

    return collect
