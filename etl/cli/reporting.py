"""What a run shows while it works: lines, a bar on a terminal, or JSON."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from etl.cli.text import count, counted, escaped, say, say_json, size

if TYPE_CHECKING:
    from etl.model import BatchPlan, BatchResult
    from etl.progress import Reporter


class Lines:
    """A line for every batch."""

    def planned(self, pipeline: str, plan: BatchPlan) -> None:
        """Say nothing yet."""

    def committed(self, result: BatchResult) -> None:
        """Print the batch."""
        say(batch_line(result))

    def noted(self, pipeline: str, message: str) -> None:
        """Print the note."""
        say(f"{pipeline}  {escaped(message)}")


class JsonLines:
    """A JSON object a line for every batch; notes go to the standard error stream."""

    def planned(self, pipeline: str, plan: BatchPlan) -> None:
        """Say nothing yet."""

    def committed(self, result: BatchResult) -> None:
        """Print the batch as the commit log keeps it."""
        say_json(asdict(result), is_line=True)

    def noted(self, pipeline: str, message: str) -> None:
        """Print the note."""
        say(f"{pipeline}: {escaped(message)}", to_error=True)


class Bar(Lines):
    """A line for every batch, and below them a bar that tells what is under way."""

    def __init__(self, progress: Any) -> None:  # noqa: ANN401  rich is imported only where there is a terminal
        self._progress = progress
        self._task = progress.add_task("looking for new input", total=None)

    def planned(self, pipeline: str, plan: BatchPlan) -> None:
        """Show the batch that begins."""
        files = sum(part.files for part in plan.inputs.values())
        size_bytes = sum(part.size_bytes for part in plan.inputs.values())
        what = f"{pipeline}  batch {plan.batch_id}  {counted(files, 'file')}  {size(size_bytes)}"
        self._progress.update(self._task, description=what)

    def committed(self, result: BatchResult) -> None:
        """Print the batch, and show that the next is looked for."""
        super().committed(result)
        self._progress.update(self._task, description=f"{result.pipeline}  looking for new input")


@contextmanager
def reporting(*, as_json: bool) -> Iterator[Reporter]:
    """Return the reporter that fits the terminal."""
    if as_json:
        yield JsonLines()
    elif not (sys.stdout.isatty() and sys.stderr.isatty()):
        yield Lines()
    else:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        columns = (BarColumn(bar_width=20), TextColumn("{task.description}", markup=False), TimeElapsedColumn())
        with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
            yield Bar(progress)


def batch_line(result: BatchResult) -> str:
    """Return a batch on one line: what came in, what became of it, where it is now."""
    fates = [f"{count(rows)} {fate}" for fate, rows in result.rows.items() if rows or fate in ("read", "written")]
    tables = ", ".join(f"{table} v{version}" for table, version in result.tables.items())
    seconds = result.seconds.get("total", 0.0)
    what = "" if result.resolution is None else f" ({result.resolution['action']})"
    return (
        f"{result.pipeline}  batch {result.batch_id}{what}  {size(result.bytes_read)}  {', '.join(fates)}"
        f"  {tables or 'no table changed'}  {seconds:.2f} s"
    )
