"""Names for arguments and for the shell's completion."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer


def complete_pipeline(context: typer.Context, incomplete: str) -> list[str]:
    """Return pipelines whose file name begins so; no file is opened."""
    folder = context.find_root().params.get("folder") or Path()
    files: Any = (Path(folder) / "pipelines").glob("*.y*ml")
    return sorted(path.stem for path in files if path.stem.startswith(incomplete))


PipelineName = Annotated[
    str, typer.Argument(metavar="PIPELINE", help="A pipeline's name.", autocompletion=complete_pipeline)
]
OptionalPipelineName = Annotated[
    str | None,
    typer.Argument(metavar="PIPELINE", help="One pipeline; without it, all.", autocompletion=complete_pipeline),
]
PipelineNames = Annotated[
    list[str] | None,
    typer.Argument(metavar="PIPELINES", help="Names of pipelines.", autocompletion=complete_pipeline),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
