"""The ``tests`` of a pipeline file: what they may say, and where a fault stands."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from textwrap import dedent, indent
from typing import Any

import pytest

from etl.config.loader import load_pipelines
from etl.config.trials import START, GivenBatch, Trial
from etl.project import default_project

Load = Callable[[str], tuple[Trial, ...]]
HEAD = """\
source: {type: files, path: a}
sink: {type: delta, table: silver.t}
tests:
"""


@pytest.fixture
def trials(write: Callable[[str, str], Path], tmp_path: Path) -> Load:
    """Return the tests of a file, of which only they are given."""

    def load(text: str) -> tuple[Trial, ...]:
        write("pipelines/orders.yml", HEAD + indent(dedent(text).strip("\n"), "  ") + "\n")
        return load_pipelines(default_project(tmp_path))[0].trials

    return load


def test_rows_are_one_batch(trials: Load) -> None:
    (found,) = trials("- {name: one, given: [{a: 1}, {a: null}], expect: [{a: 1}]}")

    batch = GivenBatch({"source": [{"a": 1}, {"a": None}]})
    assert found == Trial("one", (batch,), {"main": [{"a": 1}]})
    assert found.at == START


def test_rows_by_source_are_one_batch(trials: Load) -> None:
    (found,) = trials("- {name: one, given: {source: [{a: 1}], silver.users: [{b: 2}]}, expect: []}")

    assert found.batches == (GivenBatch({"source": [{"a": 1}], "silver.users": [{"b": 2}]}),)
    assert found.expected == {"main": []}


def test_a_list_of_batches_moves_the_clock(trials: Load) -> None:
    (found,) = trials(
        """
        - name: several
          at: 2026-03-01T10:00:00
          given:
            - [{a: 1}]
            - rows: [{a: 2}]
              advance: 5m
            - {rows: [], at: "2026-03-01T11:00:00Z"}
            - rows: {source: [{a: 3}]}
          schema: {a: int64}
          expect: {silver.t: [{a: 1}]}
          expect_late: [{a: 2}]
          expect_quarantine: []
          exact: true
        """
    )

    assert found.at == datetime(2026, 3, 1, 10, tzinfo=UTC)
    assert found.batches == (
        GivenBatch({"source": [{"a": 1}]}),
        GivenBatch({"source": [{"a": 2}]}, advance_s=300.0),
        GivenBatch({"source": []}, at=datetime(2026, 3, 1, 11, tzinfo=UTC)),
        GivenBatch({"source": [{"a": 3}]}),
    )
    assert found.expected == {"silver.t": [{"a": 1}], "late": [{"a": 2}], "quarantine": []}
    assert (found.schema, found.is_exact) == ({"a": "int64"}, True)


def test_text_is_the_content_of_a_file(trials: Load) -> None:
    whole, several = trials(
        """
        - {name: whole, given: "a\\n4", expect: []}
        - name: several
          given:
            - |
              a
              4
            - rows: "a\\n5"
              advance: 1s
          expect: []
        """
    )

    assert whole.batches == (GivenBatch({"source": "a\n4"}),)
    assert several.batches == (GivenBatch({"source": "a\n4\n"}), GivenBatch({"source": "a\n5"}, advance_s=1.0))


def test_rows_are_given_under_the_names_of_several_sources(
    write: Callable[[str, str], Path], tmp_path: Path, faults_of: Any
) -> None:
    several = "sources: {shop: {type: files, path: a}}\nsink: {type: delta, table: silver.t}\ntests:\n"
    write("pipelines/orders.yml", f"{several}- {{name: one, given: {{shop: [{{a: 1}}]}}, expect: []}}\n")
    (spec,) = load_pipelines(default_project(tmp_path))

    assert spec.trials[0].batches == (GivenBatch({"shop": [{"a": 1}]}),)
    write("pipelines/orders.yml", f"{several}- {{name: one, given: {{source: [{{a: 1}}]}}, expect: []}}\n")
    assert faults_of(lambda: load_pipelines(default_project(tmp_path))) == [
        "4:23 tests[0].given.source: unknown source 'source'; known: shop"
    ]


def test_a_test_may_expect_a_failure_alone(trials: Load) -> None:
    (found,) = trials("- {name: fails, given: [], expect_error: too many}")

    assert (found.error, found.expected) == ("too many", {})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("- {name: a, given: []}", "4:5 tests[0]: expects nothing; say `expect`"),
        ("- {name: a, given: 5, expect: []}", "4:22 tests[0].given: expected a list or a mapping or text, got 5"),
        (
            "- {name: a, given: [{a: 1}, 5], expect: []}",
            "4:31 tests[0].given[1]: expected a row, which is a mapping, got 5",
        ),
        (
            "- {name: a, given: {sorce: []}, expect: []}",
            "4:23 tests[0].given.sorce: unknown source 'sorce'; did you mean 'source'?",
        ),
        ("- {name: a, given: {source: 5}, expect: []}", "4:31 tests[0].given.source: expected a list of rows, got 5"),
        (
            "- {name: a, given: [[{a: 1}], {a: 1}], expect: []}",
            "4:33 tests[0].given[1]: a row between batches; a batch is a list of rows, text, or {rows: […]}",
        ),
        (
            "- {name: a, given: [{rows: [], atvance: 5m}], expect: []}",
            "4:34 tests[0].given[0].atvance: unknown key; did you mean 'advance'?",
        ),
        (
            "- {name: a, given: [{rows: [], advance: 5}], expect: []}",
            "4:43 tests[0].given[0].advance: not a duration; write 500ms, 30s, 5m, 2h or 7d, got 5",
        ),
        (
            "- {name: a, given: [{rows: [], at: soon}], expect: []}",
            "4:38 tests[0].given[0].at: not a moment; write 2026-01-01T00:00:00Z, got 'soon'",
        ),
        (
            "- {name: a, given: [{rows: [], at: 2026-01-01}], expect: []}",
            "4:38 tests[0].given[0].at: the clock does not go back",
        ),
        (
            "- {name: a, at: now, given: [], expect: []}",
            "4:19 tests[0].at: not a moment; write 2026-01-01T00:00:00Z, got 'now'",
        ),
        ("- {name: a, given: [], expect: [5]}", "4:35 tests[0].expect[0]: expected a mapping, got 5"),
        ("- {name: a, given: [], expects: []}", "4:26 tests[0].expects: unknown key; did you mean 'expect'?"),
        (
            "- {name: a, given: [], expect: [], schema: {a: integer}}",
            "4:50 tests[0].schema.a: type 'integer': unknown type 'integer'",
        ),
        (
            "- {name: a, given: [], expect: []}\n- {name: a, given: [], expect: []}",
            "5:12 tests[1].name: 'a' is the name of test 0 too",
        ),
        (
            "- {name: a, given: [[{a: 1}], text, {rows: []}], expect: []}",
            "4:15 tests[0].given: source is given rows and text; give one of them in a test",
        ),
        ("- {given: [], expect: []}", "4:5 tests[0].name: missing"),
    ],
)
def test_a_fault_stands_at_its_place(trials: Load, faults_of: Any, text: str, expected: str) -> None:
    assert any(fault.startswith(expected) for fault in faults_of(lambda: trials(text)))
