"""Commands that write the beginning of a pipeline."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from etl.cli.session import app, session_of
from etl.cli.text import escaped, say


@app.command()
def infer(
    context: typer.Context,
    files: Annotated[list[str], typer.Argument(metavar="FILES…", help="Local files, or globs in quotes.")],
    name: Annotated[str | None, typer.Option(help="The pipeline's name; else from the first file.")] = None,
    table: Annotated[str | None, typer.Option(help="The table: schema.table; else bronze and the name.")] = None,
    output: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the draft to a new file.")] = None,
) -> None:
    """Print a draft pipeline for files: format, dialect and schema, with a comment where something was doubtful.

    Looks at no more than the first 100 MB and 100,000 lines. Paths start from where you are.

    Example: etl infer landing/orders/*.csv --output pipelines/orders.yml
    """
    from etl.operations.drafting import draft_text, write_draft
    from etl.operations.inference import infer as draft_of
    from etl.project import check_id
    from etl.seam import Seam

    if name is not None:
        check_id(name)
    folder = session_of(context).folder
    text = draft_text(draft_of(files, name, table), folder)
    if output is None:
        typer.echo(text, nl=False)
        return
    write_draft(text, output, Seam())
    say(f"wrote {escaped(str(output))}; now look at it, then: etl validate")
