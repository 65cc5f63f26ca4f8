from __future__ import annotations

from typing import Annotated, Any

import pytest
from pydantic import Field, field_validator

from etl.config.explanation import Place, validate
from etl.config.yaml_reader import parse_yaml
from etl.errors import ConfigError
from etl.options import Options


class Window(Options):
    every: str
    offset: Annotated[float, Field(gt=0, le=10)] = 1.0


class Session(Options):
    gap: str
    keys: list[str] = Field(default_factory=list)


class Everything(Options):
    window: Window | Session | None = None
    windows: list[Window] = Field(default_factory=list)
    named: dict[str, Window] = Field(default_factory=dict)
    pattern: Annotated[str, Field(pattern="^[a-z]+$", max_length=5)] | None = None
    flag: bool = False
    either: int | list[int] = 0
    folder: str = "a"
    odd: Annotated[int, Field(multiple_of=2)] = 2

    @field_validator("folder")
    @classmethod
    def _is_no_parent(cls, value: str) -> str:
        if ".." in value:
            raise ConfigError("a folder above", hint="stay below")
        return value


def told(text: str) -> list[str]:
    document = parse_yaml(f"block: {text}".encode(), "a.yml")
    assert validate(Everything, document.data["block"], Place(document, ("block",))) is None
    return [f"{fault.column} {fault.path.removeprefix('block.')}: {fault.message}" for fault in sorted(document.faults)]


@pytest.mark.parametrize(
    ("text", "faults"),
    [
        ("{flag: yes}", ["15 flag: expected true or false, got 'yes'"]),
        ("{either: x}", ["17 either: expected a whole number or a list, got 'x'"]),
        ("{either: [1, x]}", ["21 either[1]: expected a whole number, got 'x'"]),
        ("{pattern: UPPER}", ["18 pattern: expected text like ^[a-z]+$, got 'UPPER'"]),
        ("{pattern: abcdef}", ["18 pattern: expected text of at most 5 characters, got 'abcdef'"]),
        ("{odd: 3}", ["14 odd: input should be a multiple of 2, got 3"]),
        ("{folder: ../x}", ["1 block: a folder above; stay below"]),
        ("{windows: [{every: a, offset: 0}]}", ["38 windows[0].offset: expected more than 0.0, got 0"]),
        ("{windows: [{every: a, offset: 11}]}", ["38 windows[0].offset: expected at most 10.0, got 11"]),
        ("{windows: [{every: a, evry: b}]}",
         ["30 windows[0].evry: unknown key; did you mean 'every'? known: every, offset"]),
        ("{named: {a: {every: a, evry: b}}}",
         ["31 named.a.evry: unknown key; did you mean 'every'? known: every, offset"]),
        ("[a]", ["8 block: expected a mapping, got a list"]),
    ],
)  # fmt: skip
def test_an_error_of_a_model_is_told_in_our_words(text: str, faults: list[str]) -> None:
    assert told(text) == faults


def test_of_a_union_only_branches_that_fit_the_shape_are_told_and_never_their_names() -> None:
    faults = told("{window: {gap: 5m, keys: [1]}}")
    assert "34 window.keys[0]: expected text, got 1" in faults
    assert all("Session" not in fault and "Window" not in fault for fault in faults)


def test_a_value_that_fits_is_returned_and_nothing_is_told() -> None:
    document = parse_yaml(b"block: {window: {gap: 5m}}", "a.yml")
    found: Any = validate(Everything, document.data["block"], Place(document, ("block",)))
    assert found.window == Session(gap="5m")
    assert document.faults == []
