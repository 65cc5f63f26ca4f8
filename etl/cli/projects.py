"""Commands about a project as a whole."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from etl.cli.names import AsJson, PipelineNames
from etl.cli.session import app, session_of
from etl.cli.text import counted, escaped, say, say_json, table

TEMPLATES = Path(__file__).parent / "templates"


@app.command()
def init(
    context: typer.Context,
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A new or empty folder.")] = Path(),
    template: Annotated[str, typer.Option(help="What to begin with: files, logs, windows, cdc.")] = "files",
) -> None:
    """Make a project that runs at once: etl.yml, pipelines, sample data.

    Example: etl init shop
    """
    from etl.operations.scaffold import make_project
    from etl.seam import Seam

    known = sorted(path.name for path in TEMPLATES.iterdir() if path.is_dir())
    if template not in known:
        raise typer.BadParameter(f"unknown template '{template}'; known: {', '.join(known)}")
    target = session_of(context).folder / folder
    for path in make_project(TEMPLATES / template, target, Seam()):
        say(f"  {escaped(path)}")
    at = "" if target == Path() else f"-C {target} "
    say(f"made a project in {target.absolute()}; now: etl {at}run --all")


@app.command()
def validate(context: typer.Context, pipelines: PipelineNames = None, as_json: AsJson = False) -> None:
    """Read all files, resolve names, build every plan on empty frames. Tells all faults at once.

    Example: etl validate
    """
    from etl.operations.validation import validate as verdicts_of

    verdicts = verdicts_of(session_of(context).workspace(), pipelines or None)
    if as_json:
        say_json([asdict(verdict) for verdict in verdicts])
        return
    if not verdicts:
        say("no pipelines: write one into pipelines/, or start with etl init")
        return
    lines = [
        (
            each.pipeline,
            each.table,
            str(each.transforms),
            "?" if each.columns is None else str(len(each.columns)),
            each.note or "ok",
        )
        for each in verdicts
    ]
    say(table(("pipeline", "table", "transforms", "columns", ""), lines, ("transforms", "columns")))
    for each in verdicts:
        for warning in each.warnings:
            say(f"warning: {each.pipeline}: {escaped(warning)}")


@app.command()
def schema(context: typer.Context) -> None:
    """Print the JSON Schema of etl.yml and of pipeline files, for editors.

    Example: etl schema > schema.json
    """
    del context
    from etl.config.json_schema import json_schema

    say_json(json_schema())


@app.command()
def doctor(context: typer.Context, as_json: AsJson = False) -> None:
    """Try what the guarantee rests on: storage, clock, versions, disk space, permissions; then look at each pipeline.

    Example: etl doctor
    """
    from etl.operations.doctor import examine
    from etl.operations.doctor_project import examine_project
    from etl.seam import Seam

    workspace = session_of(context).workspace()
    findings = list(examine(workspace, Seam()))
    if all(finding.state != "failed" for finding in findings):  # the rest stands on these
        findings += examine_project(workspace)
    if as_json:
        say_json([asdict(finding) for finding in findings])
    else:
        width = max(20, *(len(finding.check) for finding in findings))
        for finding in findings:
            say(f"{finding.state:<8} {finding.check:<{width}} {escaped(finding.detail, keep=chr(10))}")
            if finding.next_step:
                say(f"{'':<8} {'':<{width}} {escaped(finding.next_step)}")
    failed = sum(finding.state == "failed" for finding in findings)
    if failed:
        say(f"{counted(failed, 'check')} failed", to_error=True)
        raise typer.Exit(1)
