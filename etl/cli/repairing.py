"""The command that mends what a start refuses."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from etl.cli.names import AsJson, PipelineName
from etl.cli.session import app, session_of
from etl.cli.text import escaped, say, say_json

_REFUSED = 4


@app.command()
def repair(
    context: typer.Context,
    pipeline: PipelineName,
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be mended.")] = False,
    as_json: AsJson = False,
) -> None:
    """Mend what a start refuses, where nothing is lost by it; what cannot be mended is told with the command that can.

    Example: etl repair orders --dry-run
    """
    from etl.operations.looking import Onlooker
    from etl.operations.repairing import look_at_repair
    from etl.operations.repairing import repair as mend
    from etl.seam import Seam

    workspace = session_of(context).workspace()
    done = look_at_repair(workspace, pipeline, Onlooker()) if dry_run else mend(workspace, pipeline, Seam())
    if as_json:
        say_json(asdict(done))
    else:
        for what in done.mended:
            say(f"{'would mend' if dry_run else 'mended'}: {escaped(what)}")
        if not done.mended and not done.left:
            say(f"{pipeline}: nothing to mend")
        if done.left:
            say(f"not mended: {escaped(done.left, keep=chr(10))}", to_error=True)
    if done.left:
        raise typer.Exit(_REFUSED)
