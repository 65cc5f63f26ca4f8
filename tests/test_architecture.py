"""The rules of docs/house.md that a machine can check: ranks, budgets, one door for effects, light start-up."""

from __future__ import annotations

import ast
import re
import statistics
from pathlib import Path

import pytest

from tests.code_reading import (
    RANK_OF,
    RANKS,
    Module,
    effects_of,
    heavy_imports,
    is_command,
    length,
    parameters,
    references,
    wrong_imports,
)

ROOT = Path(__file__).parents[1]
TEMPLATES = ROOT / "etl" / "cli" / "templates"

MAX_FILE_LINES = 300
MAX_MEDIAN_LINES = 150
MAX_FUNCTION_LINES = 60
MAX_PARAMETERS = 5
VAGUE_NAMES = ("Manager", "Helper", "Util", "Utils", "Handler", "Processor", "Base")

DOORS = ("storage", "seam", "testing")

EFFECT_EXCEPTIONS: dict[tuple[str, str], str] = {
    ("etl.checkpoint.lease", "os.open"): "a lock belongs to an open file, which no record is",
    ("etl.checkpoint.lease", ".mkdir"): "the lock file is the first one in the checkpoint's folder",
    ("etl.service.child", "subprocess.Popen"): "`isolation: process`: what the child does passes through its own door",
    ("etl.service.child", "subprocess.PIPE"): "the same",
    ("etl.sources.file_access", "os.unlink"): "`after_commit: delete` removes input, which is no record",
    ("etl.sources.file_access", ".rm_file"): "the same on an object store",
    ("etl.sources.file_disposal", ".mkdir"): "`after_commit: {archive: …}` moves input; each step is inside an effect",
    ("etl.sources.file_disposal", ".unlink"): "the same",
    ("etl.sources.file_disposal", "builtins.open:w"): "the same, across file systems",
    ("etl.sources.file_disposal", "os.fsync"): "the same",
    ("etl.sources.file_disposal", "os.link"): "the same",
    ("etl.sources.file_disposal", "os.open"): "the same",
}
"""Module and effect, with the reason why it does not pass through a door."""

PARAMETER_EXCEPTIONS: dict[str, str] = {}
"""Functions of more than five parameters, with the reason."""


def our_modules() -> list[Module]:
    found = []
    for path in sorted((ROOT / "etl").rglob("*.py")):
        if not path.is_relative_to(TEMPLATES):
            parts = path.relative_to(ROOT).with_suffix("").parts
            name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            found.append(Module(name, path.read_text("utf-8")))
    return found


MODULES = our_modules()
every_module = pytest.mark.parametrize("module", MODULES, ids=lambda module: module.name)


@every_module
def test_a_module_has_a_rank_and_imports_only_from_lower_ones(module: Module) -> None:
    assert module.part in RANK_OF
    assert wrong_imports(module) == []


@every_module
def test_a_module_imports_heavy_libraries_only_where_they_are_needed(module: Module) -> None:
    assert heavy_imports(module) == []


@every_module
def test_a_module_lies_at_most_one_folder_deep(module: Module) -> None:
    assert len(module.name.split(".")) <= (4 if module.part == "service" else 3)


@every_module
def test_a_module_keeps_the_budget_of_lines(module: Module) -> None:
    assert len(module.text.splitlines()) <= MAX_FILE_LINES
    assert {
        function.name: length(function) for function in module.functions if length(function) > MAX_FUNCTION_LINES
    } == {}


@every_module
def test_a_function_takes_at_most_five_parameters(module: Module) -> None:
    many = {
        f"{module.name}.{function.name}"
        for function in module.functions
        if parameters(function) > MAX_PARAMETERS and not is_command(function)
    }

    assert many - PARAMETER_EXCEPTIONS.keys() == set()


@every_module
def test_a_module_prints_only_in_the_command_line(module: Module) -> None:
    printed = [name for name, _ in references(module) if name == "builtins.print"]

    assert module.part == "cli" or printed == []


@every_module
def test_a_module_reaches_the_world_only_through_a_door(module: Module) -> None:
    allowed = {effect for name, effect in EFFECT_EXCEPTIONS if name == module.name}

    assert module.part in DOORS or effects_of(module) - allowed == set()


@every_module
def test_a_class_has_a_name_that_says_something(module: Module) -> None:
    names = [node.name for node in ast.walk(module.tree) if isinstance(node, ast.ClassDef)]

    assert [name for name in names if name.endswith(VAGUE_NAMES)] == []


def test_half_of_the_files_are_short() -> None:
    lines = [len(module.text.splitlines()) for module in MODULES if module.text.strip()]

    assert statistics.median(lines) < MAX_MEDIAN_LINES


def test_no_exception_has_outlived_its_cause() -> None:
    effects = {(module.name, effect) for module in MODULES for effect in effects_of(module)}
    functions = {f"{module.name}.{function.name}" for module in MODULES for function in module.functions}

    assert EFFECT_EXCEPTIONS.keys() - effects == set()
    assert PARAMETER_EXCEPTIONS.keys() - functions == set()


def test_the_page_on_the_house_shows_the_same_ranks() -> None:
    page = (ROOT / "docs" / "house.md").read_text("utf-8")
    rows = re.findall(r"^\| (\d+) \| ([^|]+) \|", page, re.MULTILINE)
    shown = {int(rank): re.findall(r"[a-z_]+", names) for rank, names in rows}
    present = {module.part for module in MODULES}
    expected = {rank: [name for name in names if name in present] for rank, names in RANKS.items()}

    assert shown == {rank: names for rank, names in expected.items() if names}
