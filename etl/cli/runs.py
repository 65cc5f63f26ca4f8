"""The command that moves rows."""

from __future__ import annotations

import os
import signal
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from etl.cli.interruption import GRACE_S, Interruption, end_with_parent
from etl.cli.looking import say_plan
from etl.cli.names import AsJson, PipelineNames
from etl.cli.reporting import reporting
from etl.cli.session import INTERRUPTED, app, session_of, tell
from etl.cli.text import counted, say

if TYPE_CHECKING:
    from etl.operations.running import Outcome
    from etl.operations.workspace import Workspace


@app.command()
def run(
    context: typer.Context,
    pipelines: PipelineNames = None,
    *,
    everything: Annotated[bool, typer.Option("--all", help="Run every pipeline.")] = False,
    once: Annotated[bool, typer.Option("--once", help="Take one batch at most.")] = False,
    max_batches: Annotated[int | None, typer.Option(min=1, help="Take so many batches at most.")] = None,
    max_seconds: Annotated[float | None, typer.Option(min=0, help="Begin no batch after so long.")] = None,
    full_refresh: Annotated[
        bool, typer.Option("--full-refresh", help="Build the tables anew, from the first file on.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what the next batches would be.")] = False,
    as_json: AsJson = False,
) -> None:
    """Take what is available in micro-batches, then stop.

    Several pipelines run one after the other, each after those whose tables it reads; where one fails, those that read
    its table are skipped. Ctrl-C or SIGTERM ends the run after the batch under way, which has 20 seconds.

    A pipeline whose trigger is continuous, named alone and without --once, waits for further input instead of ending.

    With --full-refresh everything is read anew. The first batch takes the place of all that the table holds, in one
    version; until then the table stays as it is. Stopped at any moment, it is continued by a plain etl run.

    Example: etl run orders --max-batches 10
    """
    names = _chosen(pipelines, everything=everything)
    if full_refresh and everything:
        raise typer.BadParameter("name the pipelines whose tables are to be built anew", param_hint="--full-refresh")
    session = session_of(context)
    if dry_run:
        for spec in session.workspace().specs(names):
            say_plan(session.workspace(), spec.name, as_json=as_json, is_line=True, full_refresh=full_refresh)
        return

    from etl.model import Bounds

    workspace = _handed_over() or session.workspace()
    end_with_parent()
    bounds = Bounds(1 if once else max_batches, max_seconds)
    say_note = partial(say, to_error=True)
    with Interruption(say_note, GRACE_S) as interruption, reporting(as_json=as_json) as reporter:
        from etl.operations.running import Running, run_pipelines
        from etl.seam import Seam

        follows = names is not None and len(names) == 1 and not once
        running = Running(Seam(), reporter, bounds, lambda: interruption.is_wanted, full_refresh, follows)
        worst = 0
        try:
            for outcome in run_pipelines(workspace, names, running):
                _say_outcome(outcome, as_json=as_json, is_debug=session.is_debug)
                worst = max(worst, outcome.exit_code)
        except KeyboardInterrupt:
            say("abandoned the batch; the next run brings it to its end, nothing is lost or doubled", to_error=True)
            raise typer.Exit(INTERRUPTED) from None
    if interruption.is_wanted:
        say("stopped: the batch under way was finished, the rest is for the next run", to_error=True)
        worst = max(worst, INTERRUPTED if interruption.signal == signal.SIGINT else 0)
    raise typer.Exit(worst)


def _handed_over() -> Workspace | None:
    """Return the project with the definition that a service gave to this child of its."""
    from etl.operations.handing_over import HANDED, taken_over

    return None if os.environ.pop(HANDED, None) is None else taken_over(0)


def _chosen(names: list[str] | None, *, everything: bool) -> list[str] | None:
    """Return the names, None for all."""
    if everything == bool(names):
        raise typer.BadParameter("name pipelines, or say --all for every one", param_hint="PIPELINES")
    return None if everything else names


def _say_outcome(outcome: Outcome, *, as_json: bool, is_debug: bool) -> None:
    """Tell how a pipeline's run ended; with JSON, only what went wrong."""
    if outcome.error is not None:
        say(f"{outcome.pipeline}: failed{_after(outcome)}", to_error=True)
        tell(outcome.error, is_debug=is_debug)
    elif outcome.skipped_for is not None:
        say(f"{outcome.pipeline}: skipped, it reads the table of {outcome.skipped_for}, which failed", to_error=True)
    elif not as_json and not outcome.results:
        say(f"{outcome.pipeline}  nothing new")
    elif not as_json and len(outcome.results) > 1:
        written = sum(result.rows.get("written", 0) for result in outcome.results)
        say(f"{outcome.pipeline}  {counted(len(outcome.results), 'batch')}, {counted(written, 'row')} written")


def _after(outcome: Outcome) -> str:
    return f" after {counted(len(outcome.results), 'batch')}" if outcome.results else ""
