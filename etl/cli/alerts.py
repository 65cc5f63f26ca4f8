"""The command that tries whether those who are told of troubles can be reached."""

from __future__ import annotations

from typing import Annotated

import typer

from etl.cli.session import app, session_of
from etl.cli.text import escaped, say


@app.command()
def alert(
    context: typer.Context,
    names: Annotated[list[str] | None, typer.Argument(help="Names under alerts: in etl.yml; default: all.")] = None,
) -> None:
    """Send each receiver of alerts a trial message, and tell what became of it.

    Exit code 1 where one could not be reached. Nothing else is done: alerts themselves are sent by etl serve.

    Example: etl alert ops
    """
    from etl.seam import Seam
    from etl.service.trial_alerts import chosen, tried

    outcomes = tried(chosen(session_of(context).workspace().project.receivers, names or ()), Seam())
    for name, trouble in outcomes:
        say(escaped(f"{name}: {trouble or 'delivered'}", keep="\n"))
    if any(trouble for _, trouble in outcomes):
        raise typer.Exit(1)
