from __future__ import annotations

from typing import Annotated

import pytest
import typer
from typer.core import TyperGroup
from typer.testing import CliRunner


def test_an_exception_of_a_command_reaches_the_group() -> None:
    seen: list[BaseException] = []

    class Group(TyperGroup):
        def invoke(self, ctx: typer.Context) -> object:  # type: ignore[override]
            try:
                return super().invoke(ctx)
            except ValueError as exc:
                seen.append(exc)
                raise typer.Exit(7) from None

    app = typer.Typer(cls=Group, pretty_exceptions_enable=False)

    @app.callback()
    def options() -> None:
        pass

    @app.command("run")
    def run() -> None:
        raise ValueError("oh")

    assert CliRunner().invoke(app, ["run"]).exit_code == 7
    assert [str(exc) for exc in seen] == ["oh"]


def test_parameters_by_name_alone_are_options() -> None:
    app = typer.Typer()

    @app.command()
    def run(name: str, *, once: Annotated[bool, typer.Option("--once")] = False) -> None:
        typer.echo(f"{name} {once}")

    assert CliRunner().invoke(app, ["a", "--once"]).stdout == "a True\n"


@pytest.mark.parametrize("arguments", [["--nope"], ["a", "b"]])
def test_wrong_usage_ends_with_two(arguments: list[str]) -> None:
    app = typer.Typer()

    @app.command()
    def run(name: str) -> None:
        typer.echo(name)

    assert CliRunner().invoke(app, arguments).exit_code == 2
