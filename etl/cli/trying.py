"""The command that carries out the tests of pipeline files."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import typer

from etl.cli.names import AsJson, PipelineNames
from etl.cli.session import app, session_of
from etl.cli.text import counted, escaped, say, say_json, table

if TYPE_CHECKING:
    from collections.abc import Mapping

    from etl.operations.comparing import Difference
    from etl.operations.trying import TrialResult


@app.command("test")
def try_(context: typer.Context, pipelines: PipelineNames = None, as_json: AsJson = False) -> None:
    """Carry out the tests in the pipeline files; touches neither their input nor their tables.

    Example: etl test orders
    """
    from etl.operations.trying import try_pipelines

    results = list(try_pipelines(session_of(context).workspace(), pipelines or None))
    failed = [each for each in results if not each.is_ok]
    if as_json:
        say_json([{**asdict(each), "is_ok": each.is_ok} for each in results])
    elif not results:
        say("no tests: write some under `tests:` in a pipeline file")
    else:
        lines = [(each.pipeline, each.name, "ok" if each.is_ok else "failed") for each in results]
        say(table(("pipeline", "test", ""), lines))
        for each in failed:
            _say_failure(each)
        say(f"{counted(len(results), 'test')}, {len(failed):,} failed")
    if failed:
        raise typer.Exit(1)


def _say_failure(result: TrialResult) -> None:
    say()
    say(f"{result.pipeline}: {escaped(result.name)}")
    if result.error:
        say(f"  {escaped(result.error, keep=chr(10))}")
    for each in result.differences:
        _say_difference(each)
    for note in result.aside:
        say(f"  set aside: {escaped(note)}")


def _say_difference(found: Difference) -> None:
    """Print rows with a sign: - is missing, + was not expected; one below the other where they are alike."""
    missing, more = len(found.missing), len(found.unexpected)
    counts = f"{counted(missing, 'row')} missing, {more:,} not expected"
    say(f"  {found.table}: {escaped(found.trouble) or counts}")
    for place in range(max(missing, more)):
        if place < missing:
            say(f"    - {_row(found.missing[place])}")
        if place < more:
            say(f"    + {_row(found.unexpected[place])}")


def _row(row: Mapping[str, Any]) -> str:
    return escaped(json.dumps(row, ensure_ascii=False, default=str))
