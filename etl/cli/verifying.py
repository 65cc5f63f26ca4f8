"""The command that proves what the guarantee says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from etl.cli.names import AsJson, PipelineName
from etl.cli.session import app, session_of
from etl.cli.text import counted, escaped, say, say_json, table

if TYPE_CHECKING:
    from etl.operations.verified import Check, Verification

_DISAGREE = 4
_FAULTS_SHOWN = 10


@app.command()
def verify(
    context: typer.Context,
    pipeline: PipelineName,
    deep: Annotated[bool, typer.Option("--deep", help="Read the sources again and compare the rows.")] = False,
    as_json: AsJson = False,
) -> None:
    """Prove that records, tables and state of a pipeline agree. Changes nothing.

    With --deep the input is read again, as far as it is still there, and the rows that come of it are compared with
    those of the tables. Ends with exit code 4 where something disagrees.

    Example: etl verify orders --deep
    """
    from etl.operations.looking import Onlooker
    from etl.operations.verified import verification_to_json
    from etl.operations.verifying import verify as prove

    found = prove(session_of(context).workspace(), pipeline, Onlooker(), is_deep=deep)
    if as_json:
        say_json(verification_to_json(found))
    else:
        say_verification(found)
    if not found.is_ok:
        raise typer.Exit(_DISAGREE)


def say_verification(found: Verification) -> None:
    """Print a line a check, what disagrees with what mends it, and what could not be proven."""
    if not found.checks:
        say(f"{found.pipeline}: never run")
        return
    say(f"{found.pipeline} → {found.table}  {counted(found.batches, 'batch')}")
    lines = [(check.name, "ok" if check.is_ok else "failed", _looked_at(check), check.proves) for check in found.checks]
    say(table(("check", "", "looked at", "proves"), lines))
    for check in found.checks:
        if not check.is_ok:
            _say_faults(check)
    if found.unproven:
        say("not proven:")
        for note in found.unproven:
            say(f"  {escaped(note)}")


def _looked_at(check: Check) -> str:
    return ", ".join(f"{number:,} {noun}" for noun, number in check.looked_at.items())


def _say_faults(check: Check) -> None:
    say(f"{check.name}: {counted(len(check.faults), 'fault')}")
    for fault in check.faults[:_FAULTS_SHOWN]:
        say(f"  {escaped(fault)}")
    if len(check.faults) > _FAULTS_SHOWN:
        say(f"  … and {len(check.faults) - _FAULTS_SHOWN:,} more: --json has them all")
    if check.repair:
        say(f"  {escaped(check.repair)}")
