"""The command that writes what a pipeline did as one page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from etl.cli.names import PipelineName
from etl.cli.session import app, session_of
from etl.cli.text import escaped, say, size


@app.command()
def report(
    context: typer.Context,
    pipeline: PipelineName,
    output: Annotated[Path | None, typer.Option(dir_okay=False, help="Default: PIPELINE.html, here.")] = None,
) -> None:
    """Write what a pipeline did as one HTML file: batches, rows by fate, durations, tables.

    Example: etl report orders --output orders.html
    """
    from etl.seam import Seam
    from etl.service.web.report import write_report

    target = Path(f"{pipeline}.html") if output is None else output
    written = write_report(session_of(context).workspace(), pipeline, target, Seam())
    say(f"{size(written)} written to {escaped(str(target))}", to_error=True)
