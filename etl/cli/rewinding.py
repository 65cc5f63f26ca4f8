"""The command that goes back to an earlier batch."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from etl.cli.names import AsJson, PipelineName
from etl.cli.session import app, session_of
from etl.cli.text import counted, say, say_json, table

if TYPE_CHECKING:
    from etl.operations.rewinding import GoingBack


@app.command()
def rewind(
    context: typer.Context,
    pipeline: PipelineName,
    *,
    to_batch: Annotated[int | None, typer.Option(min=0, help="Back to the end of this batch.")] = None,
    to_version: Annotated[int | None, typer.Option(min=0, help="Back to what the table held in this version.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: AsJson = False,
) -> None:
    """Bring tables, state and offsets back together to an earlier batch; the next run reads again what came after.

    Each table gets one further version that holds what it held then. Stopped at any moment, a rewind that has begun is
    finished by the next run.

    Example: etl rewind orders --to-batch 41
    """
    from etl.operations.looking import Onlooker
    from etl.operations.rewinding import Target, look_at_rewind
    from etl.operations.rewinding import rewind as go_back
    from etl.seam import Seam

    if (to_batch is None) == (to_version is None):
        raise typer.BadParameter("say one of --to-batch and --to-version")
    workspace, target = session_of(context).workspace(), Target(to_batch, to_version)
    if dry_run or not yes:
        intended = look_at_rewind(workspace, pipeline, target, Onlooker())
        _say(intended, as_json=as_json and dry_run)
        if dry_run:
            return
        typer.confirm("Go back?", abort=True, err=True)
    done = go_back(workspace, pipeline, target, Seam())
    if as_json or yes:
        _say(done, as_json=as_json)
    if not as_json:
        say(f"{pipeline} stands at the end of batch {done.batch_id}; now: etl run {pipeline}")


def _say(found: GoingBack, *, as_json: bool) -> None:
    if as_json:
        say_json(asdict(found))
        return
    say(f"{found.pipeline} back to the end of batch {found.batch_id}: {counted(found.undone, 'batch')} undone")
    lines = [
        (each.table, *(str(number) for number in (each.head, each.version, each.files_out, each.files_back)))
        for each in found.tables
    ]
    header = ("table", "is at version", "back to", "files out", "files back")
    say(table(header, lines, header[1:]))
