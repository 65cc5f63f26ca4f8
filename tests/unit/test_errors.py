"""The error tree: what stands in a message, and which exit code follows."""

from __future__ import annotations

import re

import pytest

import etl.errors
from etl.errors import (
    CheckpointError,
    ConfigError,
    EtlError,
    RecordExistsError,
    SourceChangedError,
    SourceError,
    TableStateError,
    TransientError,
    UnknownOutcomeError,
)

TREE: dict[str, type[EtlError]] = {name: found for name, found in vars(etl.errors).items() if isinstance(found, type)}
EXIT_CODES = {
    "ConfigError": 2,
    "MissingTableError": 2,
    "LeaseHeldError": 3,
    "FencedError": 3,
    "CheckpointError": 4,
    "StateError": 4,
    "TableStateError": 4,
}


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (EtlError("it broke"), "it broke"),
        (EtlError("it broke", where="a.json:3"), "a.json:3: it broke"),
        (EtlError("it broke", hint="mend it"), "it broke\n  mend it"),
        (ConfigError("it broke", where="a", hint="mend it"), "a: it broke\n  mend it"),
        (SourceChangedError("in/a.csv", "other bytes", hint="wait"), "in/a.csv: other bytes\n  wait"),
        (TableStateError("table_behind", "too old", where="t", hint="h"), "t: table_behind: too old\n  h"),
        (RecordExistsError("offsets/1.json", b"x"), "offsets/1.json: a record of this name exists already"),
    ],
)
def test_error_says_where_what_and_what_next(error: EtlError, text: str) -> None:
    assert str(error) == text


@pytest.mark.parametrize("name", TREE)
def test_error_has_the_exit_code_of_the_command_line(name: str) -> None:
    assert TREE[name].exit_code == EXIT_CODES.get(name, 1)
    assert issubclass(TREE[name], EtlError)


def test_tree_of_the_docstring_is_the_tree() -> None:
    drawn = re.findall(r"(\w+Error) ", f"{etl.errors.__doc__} ")
    assert sorted(drawn) == sorted(TREE)
    lines = (etl.errors.__doc__ or "").splitlines()
    parents: list[str] = []
    for line in lines:
        if found := re.search(r"\w+Error", line):
            depth = found.start() // 4 - 1
            parents[depth:] = [found[0]]
            assert depth == 0 or TREE[found[0]].__bases__ == (TREE[parents[depth - 1]],)


def test_errors_carry_what_their_handlers_need() -> None:
    assert SourceChangedError("in/a.csv", "m").path == "in/a.csv"
    assert TableStateError("table_ahead", "m").kind == "table_ahead"
    assert RecordExistsError("p", b"theirs").content == b"theirs"


def test_a_retry_may_cure_an_unknown_outcome_but_no_torn_checkpoint() -> None:
    assert issubclass(UnknownOutcomeError, TransientError)
    assert not issubclass(CheckpointError, TransientError)
    assert not issubclass(SourceError, TransientError)
