"""The command that tells what was committed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, Any

import typer

from etl.cli.looking import change_line
from etl.cli.names import AsJson, PipelineName
from etl.cli.session import app, session_of
from etl.cli.text import count, counted, escaped, moment, say, say_json, size, table
from etl.model import BACKFILL

if TYPE_CHECKING:
    from etl.checkpoint.commit_log import CommitEntry
    from etl.model import BatchResult
    from etl.operations.status import Batch

_FILES_SHOWN = 20
_LABEL = 12


@app.command()
def history(
    context: typer.Context,
    pipeline: PipelineName,
    batch: Annotated[int | None, typer.Option(min=0, help="Only this batch, in full, with each of its files.")] = None,
    as_json: AsJson = False,
) -> None:
    """List the committed batches of a pipeline: offsets, table version, rows, durations.

    Example: etl history orders --batch 3
    """
    from etl.operations.looking import Onlooker
    from etl.operations.status import batch_of
    from etl.operations.status import history as committed

    seam = Onlooker()
    wired = session_of(context).workspace().wired(pipeline, seam)
    if batch is not None:
        found = batch_of(wired, seam, batch)
        if as_json:
            say_json([{**_entry_to_json(found.entry), "files": found.files}])
        else:
            say_batch(found)
        return
    entries = committed(wired, seam)
    if as_json:
        say_json([_entry_to_json(entry) for entry in entries])
    elif not entries:
        say("never run")
    else:
        say_history(entries, wired.sink.table)


def _entry_to_json(entry: CommitEntry) -> dict[str, Any]:
    return {**asdict(entry.result), "definition": entry.definition}


def say_history(entries: list[CommitEntry], own: str) -> None:
    """Print a line a batch, with the version of the pipeline's ``own`` table; fates that no row had are left out."""
    rows = [entry.result.rows for entry in entries]
    fates = [fate for fate in rows[0] if fate in ("read", "written") or any(each.get(fate) for each in rows)]
    header = ("batch", "committed (UTC)", "bytes", *fates, "version", "seconds")
    lines = [
        (
            *(count(entry.result.batch_id), moment(entry.committed_at), size(entry.result.bytes_read)),
            *(count(entry.result.rows.get(fate, 0)) for fate in fates),
            *(str(entry.result.tables.get(own, "")), f"{entry.result.seconds.get('total', 0.0):.2f}"),
        )
        for entry in entries
    ]
    is_new = [False, *(after.definition != before.definition for before, after in pairwise(entries))]
    notes = [_note(entry.result, is_edited=edited) for entry, edited in zip(entries, is_new, strict=True)]
    numbers = [name for name in header if name != "committed (UTC)"]
    if any(notes):
        header = (*header, "note")
        lines = [(*line, note) for line, note in zip(lines, notes, strict=True)]
    say(f"{entries[0].result.pipeline} → {own}")
    say(table(header, lines, numbers))


def _note(result: BatchResult, *, is_edited: bool) -> str:
    """Return what is special about a batch; with ``is_edited`` it is the first one of another definition."""
    notes = ["new definition"] if is_edited else []
    if result.schema_changes and result.batch_id:
        notes.append("new schema")
    if result.resolution is not None:
        is_refused = "refused" in result.resolution
        notes.append(f"{result.resolution['action']}{' refused' if is_refused else ''}")
    return ", ".join(notes)


def say_batch(batch: Batch) -> None:
    """Print all that the checkpoint knows of a batch."""
    entry, result = batch.entry, batch.entry.result
    say(f"{result.pipeline}  batch {result.batch_id}  committed {moment(entry.committed_at)} UTC")
    tables = [f"{escaped(name)} version {version}" for name, version in result.tables.items()]
    checks = [f"{escaped(name)} failed by {counted(rows, 'row')}" for name, rows in result.checks.items() if rows]
    lines = [
        ("tables", ", ".join(tables)),
        ("rows", ", ".join(f"{count(rows)} {fate}" for fate, rows in result.rows.items())),
        *[("checks" if index == 0 else "", text) for index, text in enumerate(checks)],
        *[("schema" if index == 0 else "", text) for index, text in enumerate(_changes(result))],
        *_resolution(result),
        *([("watermark", f"{moment(result.watermark)} UTC")] if result.watermark else []),
        *[("remembered" if index == 0 else "", text) for index, text in enumerate(_remembered(result))],
        ("bytes read", size(result.bytes_read)),
        ("seconds", ", ".join(f"{step} {took_s}" for step, took_s in result.seconds.items())),
        ("offsets", escaped(str(dict(result.offsets)))),
        ("definition", entry.definition),
        ("attempt", entry.attempt),
    ]
    for label, text in lines:
        say(f"  {label:<{_LABEL}} {text}")
    _say_files(batch.files)


def _remembered(result: BatchResult) -> list[str]:
    """Return what each stateful transform remembers after a batch."""
    return [
        f"{escaped(name)}: {counted(each['rows'], 'row')}, {size(each['bytes'])}" for name, each in result.state.items()
    ]


def _changes(result: BatchResult) -> list[str]:
    from etl.model import SchemaChange

    return [change_line(SchemaChange(**_known(change))) for change in result.schema_changes]


def _known(change: Mapping[str, Any]) -> dict[str, Any]:
    texts = {name: change.get(name) or "" for name in ("file", "source")}
    return {name: change.get(name) for name in ("column", "before", "after")} | texts


def _resolution(result: BatchResult) -> list[tuple[str, str]]:
    """Return what the batch did with rows of the quarantine, or with files that it read again."""
    if result.resolution is None:
        return []
    refused = result.resolution.get("refused")
    if refused is not None:
        return [("quarantine", f"{result.resolution['action']} refused: {escaped(str(refused), keep=chr(10))}")]
    if result.resolution["action"] == BACKFILL:
        upto, of = result.resolution["upto"], result.resolution["of"]
        files = counted(result.resolution["files"], "file")
        return [("backfill", f"{files} read again, {count(upto)} of {count(of)} with this batch")]
    done = {"replay": "replayed", "discard": "discarded"}[result.resolution["action"]]
    return [("quarantine", f"{counted(len(result.resolution['rows']), 'row')} {done}")]


def _say_files(files: Mapping[str, Mapping[str, int]]) -> None:
    """Print what became of the rows of each input file."""
    if not files:
        return
    shown = sorted(files.items())[:_FILES_SHOWN]
    fates = list(dict.fromkeys(["read", "written", *(fate for _, rows in shown for fate in rows)]))
    lines = [(path, *(count(rows.get(fate, 0)) for fate in fates)) for path, rows in shown]
    say(table(("file", *fates), lines, fates))
    if len(files) > len(shown):
        say(f"… and {counted(len(files) - len(shown), 'file')} more: --json has them all")
