"""The command that runs every pipeline by its trigger."""

from __future__ import annotations

import os
import signal
import sys
from enum import StrEnum
from typing import Annotated

import typer

from etl.cli.interruption import Interruption
from etl.cli.session import INTERRUPTED, app, session_of
from etl.cli.text import escaped, say


class LogFormat(StrEnum):
    """How the log is written."""

    CONSOLE = "console"
    JSON = "json"


@app.command()
def serve(
    context: typer.Context,
    host: Annotated[str | None, typer.Option(help="Where to listen; default: serve.host of etl.yml.")] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="Its port, 0 for any.")] = None,
    no_page: Annotated[bool, typer.Option("--no-page", help="No status page: only /metrics is answered.")] = False,
    log_format: Annotated[LogFormat, typer.Option("--log-format", help="How the log is written.")] = LogFormat.CONSOLE,
) -> None:
    """Run every pipeline by its trigger, until it is ended.

    Pipelines are started every so often, by the clock, after one another or as soon as there is something to read. One
    that fails is tried again, later each time, and disturbs no other. Files that are edited, added or removed are taken
    over between two batches; one that is faulty leaves the former definition running.

    Ctrl-C or SIGTERM ends the service after the batches under way, which have serve.grace of etl.yml (20 seconds).
    A project has one service at a time; etl run of a pipeline that it is running is refused.

    The log goes to the standard error stream, as lines for people or as JSON objects (--log-format json).

    Example: etl serve --port 8765
    """
    session = session_of(context)
    workspace = session.workspace()
    given = {"host": host, "port": port}
    options = workspace.project.serve.model_copy(
        update={key: value for key, value in given.items() if value is not None}
    )
    from etl.seam import Seam
    from etl.service.log_lines import note_line

    seam = Seam()

    def note(text: str) -> None:
        _write(note_line(seam.now(), text, log_format.value))

    with Interruption(note, options.grace) as interruption:
        from etl.service.serving import Serving, serve

        serving = Serving(workspace, seam, options, _write, log_format.value, not no_page)
        try:
            is_whole = serve(serving, interruption.wanted)
        except KeyboardInterrupt:
            is_whole = False
        if not is_whole:
            note("abandoned batches; the next run brings them to their end, nothing is lost or doubled")
            sys.stdout.flush()
            os._exit(INTERRUPTED)  # threads may be in native code, from which they do not come back
    note("stopped: the batches under way were finished")
    raise typer.Exit(INTERRUPTED if interruption.signal == signal.SIGINT else 0)


def _write(line: str) -> None:
    say(escaped(line), to_error=True)
