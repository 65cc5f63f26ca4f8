"""The command that reads chosen input again."""

from __future__ import annotations

import signal
from dataclasses import asdict, replace
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from etl.cli.interruption import GRACE_S, Interruption
from etl.cli.names import AsJson, PipelineName
from etl.cli.reporting import reporting
from etl.cli.session import INTERRUPTED, app, session_of
from etl.cli.text import count, counted, escaped, say, say_json, size

if TYPE_CHECKING:
    from collections.abc import Callable

    from etl.operations.backfilling import Backfilled
    from etl.operations.choosing import Intended, Wish
    from etl.operations.quarantining import Listening

_SHOWN = 10


@app.command()
def backfill(
    context: typer.Context,
    pipeline: PipelineName,
    *,
    files: Annotated[
        list[str] | None,
        typer.Option("--files", metavar="GLOB", help="A file, folder or glob, as in `path:`; may be repeated."),
    ] = None,
    since: Annotated[
        str | None, typer.Option("--from", metavar="T", help="Files last changed then or later (UTC).")
    ] = None,
    until: Annotated[
        str | None, typer.Option("--to", metavar="T", help="Files last changed before then (UTC).")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with one that was interrupted.")] = False,
    abandon: Annotated[bool, typer.Option("--abandon", help="Give an interrupted one up.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be read.")] = False,
    as_json: AsJson = False,
) -> None:
    """Read chosen files again, as they are now, in batches of their own: their rows are replaced, never doubled.

    --from and --to go by when a file was last changed, not by what its rows say. Files that were never read are left to
    etl run.

    Example: etl backfill orders --files 'landing/2026-11-2*.ndjson'
    """
    is_chosen = bool(files) or since is not None or until is not None
    if [is_chosen, resume, abandon].count(True) != 1:
        raise typer.BadParameter("choose with --files, --from, --to, or say --resume or --abandon")
    if dry_run and not is_chosen:
        raise typer.BadParameter("--dry-run goes with --files, --from, --to")
    workspace = session_of(context).workspace()
    if dry_run:
        from etl.operations.backfilling import look_at_backfill
        from etl.operations.looking import Onlooker

        _say_intended(look_at_backfill(workspace, pipeline, _wish(files, since, until), Onlooker()), as_json=as_json)
        return

    def act(listening: Listening) -> Backfilled:
        from etl.operations import backfilling

        if resume:
            return backfilling.resume(workspace, pipeline, listening)
        if abandon:
            return backfilling.abandon(workspace, pipeline, listening)
        return backfilling.backfill(workspace, pipeline, _wish(files, since, until), listening)

    _carry_out(act, abandon=abandon, as_json=as_json)


def _wish(files: list[str] | None, since: str | None, until: str | None) -> Wish:
    from etl.operations.choosing import Wish
    from etl.sources.file_choosing import Choice

    words = [f"--files {text}" for text in files or ()]
    words += [f"{name} {text}" for name, text in (("--from", since), ("--to", until)) if text is not None]
    choice = Choice(tuple(files or ()), _moment_ns("--from", since), _moment_ns("--to", until))
    return Wish(choice, " ".join(words))


def _moment_ns(option: str, text: str | None) -> int | None:
    """Return a moment, in UTC where it does not say otherwise. Raises BadParameter."""
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as exc:
        raise typer.BadParameter(f"'{text}' is no day and no moment: 2026-11-26T18:00", param_hint=option) from exc
    at = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return int(at.timestamp()) * 1_000_000_000 + at.microsecond * 1000


def _carry_out(act: Callable[[Listening], Backfilled], *, abandon: bool, as_json: bool) -> None:
    with Interruption(partial(say, to_error=True), GRACE_S) as interruption, reporting(as_json=False) as reporter:
        from etl.operations.quarantining import Listening
        from etl.progress import Silent
        from etl.seam import Seam

        listening = Listening(Seam(), Silent() if as_json else reporter, lambda: interruption.is_wanted)
        try:
            done = act(listening)
        except KeyboardInterrupt:
            say("abandoned the batch; go on: etl backfill --resume", to_error=True)
            raise typer.Exit(INTERRUPTED) from None
    _say_done(done, is_given_up=abandon, as_json=as_json)
    if done.done < done.files and not abandon:
        say(f"stopped: go on with etl backfill {done.pipeline} --resume", to_error=True)
        raise typer.Exit(INTERRUPTED if interruption.signal == signal.SIGINT else 0)


def _say_intended(found: Intended, *, as_json: bool) -> None:
    if as_json:
        say_json(asdict(found))
        return
    say(f"{found.pipeline}: would read {counted(found.count, 'file')} again, {size(found.size_bytes)}")
    paths = [path for each in found.files.values() for path in each]
    for path in paths[:_SHOWN]:
        say(f"  {escaped(path)}")
    if len(paths) > _SHOWN:
        say(f"  … and {counted(len(paths) - _SHOWN, 'file')} more: --json has them all")
    _say_left(found.unread, found.repeated)
    if found.by == "key":
        say("  rows are replaced by their key, where none is newer; keys that the files no longer have stay")


def _say_done(done: Backfilled, *, is_given_up: bool, as_json: bool) -> None:
    if as_json:
        say_json({**asdict(replace(done, batches=())), "batches": [asdict(each) for each in done.batches]})
        return
    if is_given_up:
        say(f"{done.pipeline}  given up after {count(done.done)} of {counted(done.files, 'file')}")
    elif not done.files:
        say(f"{done.pipeline}  no file to read again")
    else:
        fates = ", ".join(f"{count(rows)} {fate}" for fate, rows in done.rows.items() if rows)
        batches = counted(len(done.batches), "batch")
        say(f"{done.pipeline}  {count(done.done)} of {counted(done.files, 'file')} read again, {batches}: {fates}")
    _say_left(done.unread, done.repeated)


def _say_left(unread: tuple[str, ...], repeated: tuple[str, ...]) -> None:
    if unread:
        say(f"  {counted(len(unread), 'file')} not read yet: left to etl run ({escaped(unread[0])} …)")
    if repeated:
        say(f"  {counted(len(repeated), 'file')} with the content of another left out ({escaped(repeated[0])} …)")
