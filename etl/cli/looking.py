"""Commands that look at pipelines and change nothing."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from etl.cli.frames import say_frame
from etl.cli.names import AsJson, PipelineName
from etl.cli.session import app, session_of
from etl.cli.text import counted, escaped, say, say_json, size, wrapped

if TYPE_CHECKING:
    from etl.model import SchemaChange
    from etl.operations.planning import NextBatch
    from etl.operations.preview import Preview
    from etl.operations.workspace import Workspace
    from etl.redefinition import Outlook

_FILES_SHOWN = 10
_LABEL = 12
_REJECTED_SHOWN = 5


@app.command()
def plan(context: typer.Context, pipeline: PipelineName, as_json: AsJson = False) -> None:
    """Say what the next batch would read and write. Changes nothing.

    Example: etl plan orders
    """
    say_plan(session_of(context).workspace(), pipeline, as_json=as_json)


def say_plan(
    workspace: Workspace, name: str, *, as_json: bool, is_line: bool = False, full_refresh: bool = False
) -> None:
    """Print the next batch of a pipeline, or the first one of a full refresh."""
    from etl.operations.looking import Onlooker
    from etl.operations.planning import plan_next, plan_refresh

    seam = Onlooker()
    batch = plan_refresh(workspace, name, seam) if full_refresh else plan_next(workspace.wired(name, seam), seam)
    if as_json:
        say_json(_plan_to_json(batch), is_line=is_line)
        return
    say(f"{batch.pipeline} → {', '.join((batch.table, *batch.further))}")
    for label, text in _plan_lines(batch):
        say(f"  {label:<{_LABEL}} {text}")


def _plan_lines(batch: NextBatch) -> list[tuple[str, str]]:
    """Return what there is to say of a batch, by label."""
    if not batch.files and not batch.recovery:
        return [("next batch", f"{batch.batch_id}: nothing new to read"), *_definition_lines(batch)]
    lines = [("next batch", f"{batch.batch_id}: {counted(len(batch.files), 'file')}, {size(batch.size_bytes)}")]
    if batch.is_replacing:
        lines.append(("full refresh", "the table is built anew, and takes the place of the present one in one version"))
    if batch.recovery:
        lines.append(("recovery", f"this batch is unfinished: {batch.recovery}"))
    lines += [("files" if index == 0 else "", text) for index, text in enumerate(_file_lines(batch))]
    changes = batch.source_changes
    if not batch.batch_id:  # every column is new
        changes = tuple(replace(change, file="") for change in changes)
    lines += [("input", text) for text in _change_lines(changes)]
    lines += [("table", text) for text in _change_lines(batch.table_changes)]
    return [*lines, *_definition_lines(batch)]


def _definition_lines(batch: NextBatch) -> list[tuple[str, str]]:
    """Return how the pipeline differs from what it was, and what that does to what it remembers."""
    lines = [("definition", batch.definition)]
    if batch.definition != "unchanged" or any(each.verdict != "same" for each in batch.state):
        lines += [("state" if index == 0 else "", escaped(_outlook(each))) for index, each in enumerate(batch.state)]
    if batch.trouble is not None:
        lines.append(("would fail", escaped(str(batch.trouble), keep="\n")))
    return [*lines, *(("note", escaped(note)) for note in batch.notes)]


def _outlook(outlook: Outlook) -> str:
    """Return what becomes of the state of a transform."""
    words = {"same": "no effect", "compatible": "goes on", "refused": "refused", "gone": "refused"}
    parts = [words.get(outlook.verdict, ""), "; ".join(outlook.details)]
    return f"{outlook.transform}: {': '.join(part for part in parts if part)}"


def _file_lines(batch: NextBatch) -> list[str]:
    shown = [
        escaped(file.path) + (f"  (repeats {escaped(file.same_as)}: not read)" if file.same_as else "")
        for file in batch.files[:_FILES_SHOWN]
    ]
    more = len(batch.files) - len(shown)
    return [*shown, f"… and {counted(more, 'file')} more"] if more else shown


def _change_lines(changes: tuple[SchemaChange, ...]) -> list[str]:
    """Return the columns that are new, by the file that brings them, then each that becomes wider."""
    new: dict[str, list[str]] = {}
    for each in changes:
        if each.before is None:
            new.setdefault(_from(each), []).append(f"{escaped(each.column)} {type_text(each.after)}")
    added = [
        wrapped(f"{counted(len(columns), 'new column')}{origin}: {', '.join(columns)}", _LABEL + 3)
        for origin, columns in new.items()
    ]
    return added + [change_line(each) for each in changes if each.before is not None]


def change_line(change: SchemaChange) -> str:
    """Return one change of a schema, with the source and the file that it comes from."""
    before, after = change.before, change.after
    if before is None:
        return f"new column {escaped(change.column)} {type_text(after)}{_from(change)}"
    becomes = "is no longer there" if after is None else f"{type_text(before)} becomes {type_text(after)}"
    return f"column {escaped(change.column)}: {becomes}{_from(change)}"


def _from(change: SchemaChange) -> str:
    source = f" of {change.source}" if change.source else ""
    return f"{source} from {escaped(change.file)}" if change.file else source


def type_text(tree: Any) -> str:  # noqa: ANN401  a type tree
    """Return a type as pipeline files write it."""
    if not isinstance(tree, dict):
        return str(tree)
    if "list" in tree:
        return f"list<{type_text(tree['list'])}>"
    fields = tree.get("struct", {})
    return "struct{" + ", ".join(f"{escaped(name)}: {type_text(part)}" for name, part in fields.items()) + "}"


def _plan_to_json(batch: NextBatch) -> dict[str, Any]:
    trouble = None if batch.trouble is None else str(batch.trouble)
    return {**asdict(replace(batch, trouble=None)), "trouble": trouble}


@app.command()
def preview(
    context: typer.Context,
    pipeline: PipelineName,
    rows: Annotated[int, typer.Option(min=1, help="How many rows.")] = 20,
    at: Annotated[str | None, typer.Option(help="Stop after this transform: its number from 0, or its key.")] = None,
    as_json: AsJson = False,
) -> None:
    """Run on the first rows and print them. Writes nothing.

    Example: etl preview orders --rows 5 --at filter
    """
    from etl.operations.looking import Onlooker
    from etl.operations.preview import preview as first_rows

    seam = Onlooker()
    found = first_rows(session_of(context).workspace().wired(pipeline, seam), seam, rows, at)
    if found is None:
        say("there is no input yet", to_error=True)
        return
    if found.is_past:
        say("nothing new: these rows are of the newest batch, read once more", to_error=True)
    say_frame(found.frame, "json" if as_json else "table")
    _say_rejected(found)


def _say_rejected(found: Preview) -> None:
    """Print how many rows were rejected, and why the first of them were."""
    if not found.rejected.height:
        return
    say(f"{counted(found.rejected.height, 'row')} rejected, which a run takes into the quarantine:", to_error=True)
    for row in found.rejected.head(_REJECTED_SHOWN).iter_rows(named=True):
        place = escaped(row["_source_file"] or "no file")
        line = "" if row["line"] is None else f":{row['line']}"
        reason = row["reason"].removeprefix(f"{row['rule']}: ")
        say(f"  {place}{line}: {escaped(row['rule'])}: {escaped(reason)}", to_error=True)
    if found.rejected.height > _REJECTED_SHOWN:
        say(f"  … and {counted(found.rejected.height - _REJECTED_SHOWN, 'more row')}", to_error=True)
