"""What every command shares: the options before its name, and how an error becomes text and an exit code."""

from __future__ import annotations

import errno
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

from etl.cli.text import escaped, say
from etl.errors import EtlError

if TYPE_CHECKING:
    from etl.operations.workspace import Workspace

INTERRUPTED = 130
_ORDER = [
    *("init", "infer", "validate", "plan", "preview", "run", "serve", "status", "history", "report", "trace"),
    *("query", "state", "table", "quarantine", "verify", "rewind", "backfill", "repair", "checkpoint", "test"),
    *("graph", "alert", "schema", "doctor"),
]


@dataclass(frozen=True, slots=True)
class Session:
    """The options that stand before a command."""

    folder: Path = Path()
    profile: str | None = None
    is_debug: bool = False

    def workspace(self) -> Workspace:
        """Return the project folder, opened."""
        from etl.operations.workspace import Workspace

        return Workspace(self.folder, self.profile)


def session_of(context: typer.Context) -> Session:
    """Return the session of a command."""
    found: Session = context.find_object(Session) or Session()
    return found


class Guarded(TyperGroup):
    """Commands whose errors are told to people and end with the exit code of their kind."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ANN401  typer's own signature
        """Return the commands in the order in which one meets them."""
        return sorted(super().list_commands(ctx), key=_ORDER.index)

    def invoke(self, ctx: Any) -> Any:  # noqa: ANN401  typer's own signature
        """Run a command."""
        try:
            return super().invoke(ctx)
        except (typer.Exit, typer.Abort, SystemExit):
            raise
        except KeyboardInterrupt:
            say("interrupted", to_error=True)
            raise typer.Exit(INTERRUPTED) from None
        except BaseException as exc:  # a panic in Rust is no Exception
            if isinstance(exc, OSError) and exc.errno == errno.EPIPE:
                raise
            if hasattr(exc, "format_message"):  # the parser's own, told by the parser
                raise
            fail(exc, is_debug=session_of(ctx).is_debug)


def fail(exc: BaseException, *, is_debug: bool) -> NoReturn:
    """Tell an error and leave with its exit code."""
    tell(exc, is_debug=is_debug)
    raise typer.Exit(exc.exit_code if isinstance(exc, EtlError) else 1) from None


def tell(exc: BaseException, *, is_debug: bool) -> None:
    """Write an error to the standard error stream: what failed, on which thing, because of what, the next step.

    A traceback only with ``is_debug``, and never local variables: they may hold secrets.
    """
    if is_debug:
        import traceback

        say("".join(traceback.format_exception(exc)).rstrip(), to_error=True)
    say(error_text(exc), to_error=True)


def error_text(exc: BaseException) -> str:
    """Return an error for people."""
    if isinstance(exc, EtlError):
        text = escaped(str(exc), keep="\n")
        return text if hasattr(exc, "faults") else f"{_label()} {text}"
    if isinstance(exc, OSError) and exc.strerror:
        where = f"{escaped(str(exc.filename))}: " if exc.filename else ""
        return f"{_label()} {where}{exc.strerror}"
    what = escaped(f"{type(exc).__name__}: {exc}", keep="\n")
    return f"{_label()} internal error: {what}\n  this is a defect; for the traceback: etl --debug …"


def _label() -> str:
    return typer.style("error:", fg="red", bold=True) if sys.stderr.isatty() else "error:"


app = typer.Typer(
    cls=Guarded,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(is_wanted: bool) -> None:
    if is_wanted:
        from etl import __version__

        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def options(
    context: typer.Context,
    folder: Annotated[
        Path, typer.Option("-C", "--directory", metavar="DIR", help="The project folder.", file_okay=False)
    ] = Path(),
    profile: Annotated[str | None, typer.Option(help="The profile of etl.yml to lay over it.")] = None,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
    version: Annotated[bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Say it.")] = False,
) -> None:
    """Files become Delta tables in micro-batches, every row exactly once.

    Options of this list stand before the command: etl -C shop --profile prod run --all
    """
    del version
    context.obj = Session(folder, profile, debug)
