"""The command `etl`: importing the modules of its commands makes them known."""

from __future__ import annotations

from etl.cli import (
    alerts,
    backfilling,
    checkpoints,
    drafts,
    graphs,
    history,
    looking,
    projects,
    quarantine,
    repairing,
    reports,
    rewinding,
    runs,
    serving,
    standing,
    states,
    table,
    tables,
    trying,
    verifying,
)
from etl.cli.session import app

__all__ = [
    "alerts",
    "app",
    "backfilling",
    "checkpoints",
    "drafts",
    "graphs",
    "history",
    "looking",
    "main",
    "projects",
    "quarantine",
    "repairing",
    "reports",
    "rewinding",
    "runs",
    "serving",
    "standing",
    "states",
    "table",
    "tables",
    "trying",
    "verifying",
]


def main() -> None:
    """Run the command line."""
    app(prog_name="etl")
