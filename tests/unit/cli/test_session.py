from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from etl.cli import names
from etl.cli.session import Guarded, Session, error_text
from etl.errors import CheckpointError, ConfigError
from etl.secrets import register_secret


class Panic(BaseException):
    """What a panic in Rust is to Python: no Exception."""


@pytest.fixture
def raising() -> Callable[..., Any]:
    """Return a function that runs a command which raises."""

    def run(exc: BaseException, *, is_debug: bool = False) -> Any:
        app = typer.Typer(cls=Guarded, pretty_exceptions_enable=False)

        @app.callback()
        def options(context: typer.Context) -> None:
            context.obj = Session(is_debug=is_debug)

        @app.command("run")
        def fails() -> None:
            secret_of_a_local = "local-canary"  # noqa: F841
            raise exc

        return CliRunner().invoke(app, ["run"])

    return run


@pytest.mark.parametrize(
    ("exc", "code", "text"),
    [
        (ConfigError("unknown", where="a.yml", hint="mend it"), 2, "error: a.yml: unknown\n  mend it\n"),
        (CheckpointError("torn"), 4, "error: torn\n"),
        (OSError(30, "Read-only file system", "/lake"), 1, "error: /lake: Read-only file system\n"),
        (KeyboardInterrupt(), 130, "interrupted\n"),
    ],
)
def test_an_error_becomes_text_and_its_exit_code(exc: BaseException, code: int, text: str, raising: Any) -> None:
    done = raising(exc)

    assert (done.exit_code, done.stderr) == (code, text)


@pytest.mark.parametrize("exc", [ValueError("oh"), Panic("oh")])
def test_what_is_not_ours_is_called_internal_and_names_the_way_to_the_traceback(
    exc: BaseException, raising: Any
) -> None:
    done = raising(exc)

    assert done.exit_code == 1
    assert done.stderr == (
        f"error: internal error: {type(exc).__name__}: oh\n  this is a defect; for the traceback: etl --debug …\n"
    )


def test_a_traceback_comes_with_debug_alone_and_without_local_variables(raising: Any) -> None:
    assert "Traceback" not in raising(ValueError("oh")).output

    shown = raising(ValueError("oh"), is_debug=True).output

    assert "Traceback (most recent call last)" in shown
    assert '"local-canary"  # noqa' not in shown
    assert "secret_of_a_local = 'local-canary'" not in shown


def test_secrets_are_masked_in_errors_and_tracebacks(raising: Any) -> None:
    register_secret("session-canary-7")

    done = raising(ValueError("denied: session-canary-7"), is_debug=True)

    assert "session-canary-7" not in done.output
    assert "denied: ***" in done.output


def test_an_error_cannot_move_the_cursor() -> None:
    assert error_text(ConfigError("a\x1b[2Jb")) == "error: a\\x1b[2Jb"


def test_completion_knows_pipelines_from_their_file_names(shop: Any) -> None:
    (shop / "pipelines" / "other.yaml").write_text("not: [even yaml")
    context: Any = type("Context", (), {"find_root": lambda self: self, "params": {"folder": shop}})()

    assert names.complete_pipeline(context, "") == ["orders", "other"]
    assert names.complete_pipeline(context, "or") == ["orders"]
