"""Drafts of `etl infer`, validated and run as they are printed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from typer.testing import CliRunner, Result

from etl.cli.app import app


def etl(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments), prog_name="etl")


def drafted(*arguments: str) -> str:
    """Return what infer prints, after it was validated and run as printed."""
    printed = etl("infer", *arguments)
    assert printed.exit_code == 0, printed.output
    Path("pipelines/draft.yml").write_text(printed.stdout, encoding="utf-8")
    for command in (("validate",), ("run", "--all")):
        done = etl(*command)
        assert done.exit_code == 0, f"{done.output}\n{printed.stdout}"
    return printed.stdout


def source_of(text: str) -> dict[str, Any]:
    source: dict[str, Any] = yaml.safe_load(text)["source"]
    return source
