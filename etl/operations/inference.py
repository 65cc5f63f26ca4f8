"""A draft of a pipeline for files that nobody has described yet: format, dialect, schema, and what was doubtful."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from etl.errors import ConfigError, EtlError
from etl.formats import FORMATS, FileOpener
from etl.operations.column_types import uses_decimal_comma, verdict_of
from etl.operations.dialects import FoundDialect, dialect_of
from etl.operations.log_guess import log_format
from etl.operations.sampling import SAMPLE_LINES, TEXT_FORMATS, Sample, common_format, files_of, samples_of
from etl.schema import format_type
from etl.schema_contract import Survey

if TYPE_CHECKING:
    import polars as pl

    from etl.model import Schema, TypeTree

_SHOWN_REASONS = 3
_BINARY_FILES = 100


@dataclass(slots=True)
class Draft:
    """What a draft says. ``notes`` are by option or column; ``remarks`` stand above all."""

    name: str
    table: str
    files: list[Path]
    format: str
    options: dict[str, Any] = field(default_factory=dict)
    option_notes: dict[str, str] = field(default_factory=dict)
    schema: dict[str, str] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)


def infer(patterns: list[str], name: str | None = None, table: str | None = None) -> Draft:
    """Return a draft for files, named by paths or globs. Raises ConfigError, SourceError and as the format does."""
    files = files_of(patterns)
    kind = common_format(files)
    called = name or _name_of(files)
    draft = Draft(called, table or f"bronze.{called}", files, kind)
    if kind in TEXT_FORMATS:
        samples, failures = samples_of(files)
        if kind == "text" and samples:
            draft.format = log_format(samples[0].content, str(samples[0].path)) or kind
        look = _look_at_csv if kind in ("csv", "tsv") else _look_at_rows
        look(draft, [sample for sample in samples if sample.content.strip()])
        draft.remarks += [f"left out: {failure}" for failure in failures]
    else:
        _look_at_schemas(draft)
    if not draft.schema:
        raise ConfigError("no rows in it to infer a schema from", where=str(files[0]), hint="name a file with rows")
    return draft


def _name_of(files: list[Path]) -> str:
    """Return what the first file is called without its endings and numbers, else what its folder is called."""
    stem = files[0].name.split(".", 1)[0]
    for text in (re.sub(r"[-_ ]*\d[\d_ -]*$", "", stem), files[0].absolute().parent.name, stem):
        name = re.sub(r"[^A-Za-z0-9]+", "_", text).strip("_").lower()[:100]
        if name:
            return name
    return "draft"


def _format_of(draft: Draft) -> Any:  # noqa: ANN401  formats are made alike, each with options of its own
    kind: Any = FORMATS[draft.format]
    return kind(kind.options_model.model_validate(draft.options))


def _look_at_schemas(draft: Draft) -> None:
    """Take the types that the files themselves declare."""
    found: Survey | None = None
    looked = draft.files[:_BINARY_FILES]
    for path in looked:
        opener = FileOpener(str(path), path.stat().st_size, lambda path=path: path.open("rb"))  # type: ignore[misc]
        if opener.size_bytes:
            found = _format_of(draft).survey(opener, found)
    draft.remarks.append(f"looked at {len(looked):,} of {_files(draft.files)}")
    _take_schema(draft, {} if found is None else found.schema)


def _look_at_rows(draft: Draft, samples: list[Sample]) -> None:
    """Take the types that a survey of the rows finds."""
    schema, read = _surveyed(draft, samples, None)
    _take_schema(draft, schema)
    _read_sample(draft, read, schema)


def _surveyed(draft: Draft, samples: list[Sample], known: Survey | None) -> tuple[Schema, list[Sample]]:
    """Return the schema of the samples that can be read, and these. Raises the error where none can."""
    read: list[Sample] = []
    failure: EtlError | None = None
    for sample in samples:
        try:
            known = _format_of(draft).survey(sample.opener, known)
        except EtlError as exc:
            failure = exc
            draft.remarks.append(f"left out: {exc}")
        else:
            read.append(sample)
    if failure is not None and not read:
        raise failure
    return {} if known is None else known.schema, read


def _take_schema(draft: Draft, schema: Schema) -> None:
    for name, tree in schema.items():
        if _has_nulls_only(tree):
            draft.notes[name] = "no value in the sample" if tree == "null" else "text where the sample has no value"
        draft.schema[name] = format_type(_without_nulls(tree))


def _has_nulls_only(tree: TypeTree) -> bool:
    if isinstance(tree, str):
        return tree == "null"
    return any(_has_nulls_only(part) for part in _parts(tree).values())


def _parts(tree: dict[str, Any]) -> dict[str, TypeTree]:
    return tree["struct"] if "struct" in tree else {"": tree["list"]}


def _without_nulls(tree: TypeTree) -> TypeTree:
    """Return a type with text in the places of which only nulls are known."""
    if isinstance(tree, str):
        return "string" if tree == "null" else tree
    inner = {name: _without_nulls(part) for name, part in _parts(tree).items()}
    return {"struct": inner} if "struct" in tree else {"list": inner[""]}


def _look_at_csv(draft: Draft, samples: list[Sample]) -> None:
    """Find the dialect in the first file that has one, then the types in all of the sample."""
    if not samples:
        return
    known = FORMATS[draft.format].options_model.model_fields
    default = known["delimiter"].default
    dialect = dialect_of(samples[0].content, str(samples[0].path), default_delimiter=default)
    _take_options(draft, dialect)
    named = None if dialect.names is None else Survey(dict.fromkeys(dialect.names, "string"))
    schema, read = _surveyed(draft, samples, named)
    frame = _read_sample(draft, read, schema)
    if frame is None:
        draft.schema = {name: format_type(tree) for name, tree in schema.items()}
        return
    _judge_columns(draft, frame)


def _take_options(draft: Draft, dialect: FoundDialect) -> None:
    """Take what the format knows of a dialect."""
    known = FORMATS[draft.format].options_model.model_fields
    draft.options = {name: value for name, value in dialect.options.items() if name in known}
    draft.option_notes = {name: note for name, note in dialect.notes.items() if name in known}


def _judge_columns(draft: Draft, frame: pl.DataFrame) -> None:
    """Give every column of text the narrowest type that keeps its values. A form of dates holds for a whole file."""
    known = FORMATS[draft.format].options_model.model_fields
    delimiter = draft.options.get("delimiter", known["delimiter"].default)
    has_comma = "decimal_comma" in known and delimiter != "," and uses_decimal_comma(frame.get_columns())
    if has_comma:
        draft.options["decimal_comma"] = True
    settled: dict[str, str] = {}
    for name in frame.columns:
        verdict = verdict_of(frame[name], has_comma=has_comma)
        draft.schema[name], note = verdict.type, verdict.note
        if verdict.type in ("date", "timestamp", "timestamp(UTC)"):
            option = "date_format" if verdict.type == "date" else "timestamp_format"
            written = f"{verdict.type} written {verdict.form or 'as in ISO 8601'}"
            if verdict.form and option not in known:
                draft.schema[name], note = "string", f"{written}: kept as text"
            elif settled.setdefault(option, verdict.form) != verdict.form:
                draft.schema[name], note = "string", f"{written}, unlike other columns: kept as text"
            elif verdict.form:
                draft.options[option] = verdict.form
        if note:
            draft.notes[name] = note


def _read_sample(draft: Draft, samples: list[Sample], schema: Schema) -> pl.DataFrame | None:
    """Read the sample once, say what is set aside, and return its rows; None where they cannot be read."""
    import polars as pl

    frames: list[pl.DataFrame] = []
    reasons: Counter[str] = Counter()
    rows = 0
    read_format = _format_of(draft)
    inside = {name: _without_nulls(tree) for name, tree in schema.items()}
    try:
        for sample in samples:
            for task in read_format.tasks(sample.opener, inside):
                for chunk in task():
                    frames.append(chunk.frame)
                    rows += chunk.rows
                    if chunk.rejects is not None:
                        reasons.update(
                            f"{rule}, {reason}" for rule, reason in chunk.rejects.select("rule", "reason").rows()
                        )
    except EtlError as exc:
        draft.remarks.append(f"the sample cannot be read to its end: {exc}")
    _remark(draft, samples, rows, reasons)
    if draft.format not in ("csv", "tsv") or not frames:
        return None
    return pl.concat(frames).head(SAMPLE_LINES)


def _remark(draft: Draft, samples: list[Sample], rows: int, reasons: Counter[str]) -> None:
    """Say what was looked at, and what of it is set aside."""
    looked = sum(len(sample.content) for sample in samples)
    is_all = len(samples) == len(draft.files) and all(sample.is_whole for sample in samples)
    of = _files(draft.files) if is_all else f"{len(samples):,} of {_files(draft.files)}"
    bound = "" if is_all else "; a sample is at most 100 MB and 100,000 lines"
    all_rows = _counted(rows + reasons.total(), "row")
    draft.remarks.insert(0, f"looked at {of}: {all_rows}, {looked / 1e6:,.1f} MB{bound}")
    if reasons:
        draft.remarks.append(f"{reasons.total():,} of these rows would be set aside:")
        draft.remarks += [f"  {count:,}: {reason}" for reason, count in reasons.most_common(_SHOWN_REASONS)]


def _files(files: list[Path]) -> str:
    return _counted(len(files), "file")


def _counted(count: int, word: str) -> str:
    return f"{count:,} {word}" if count == 1 else f"{count:,} {word}s"
