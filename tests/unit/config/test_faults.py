from __future__ import annotations

import pytest

from etl.config.faults import ConfigFaults, Fault, key_path, nearest, reason, shown
from etl.errors import ConfigError


def test_faults_are_sorted_and_grouped_by_file() -> None:
    faults = ConfigFaults(
        [
            Fault("pipelines/b.yml", 12, 7, "transforms[1].keep", "unknown key; known: by, within"),
            Fault("pipelines/b.yml", 7, 9, "source.type", "unknown source 'fiels'; did you mean 'files'?"),
            Fault("etl.yml", 3, 1, "", "a tab; indent with spaces"),
            Fault("pipelines/b.yml", 1000, 100, "x", "y"),
        ]
    )
    assert str(faults) == (
        "etl.yml: 1 problem\n"
        "  3:1    a tab; indent with spaces\n"
        "pipelines/b.yml: 3 problems\n"
        "  7:9    source.type: unknown source 'fiels'; did you mean 'files'?\n"
        "  12:7   transforms[1].keep: unknown key; known: by, within\n"
        "  1000:100 x: y"
    )
    assert isinstance(faults, ConfigError)
    assert faults.exit_code == 2
    assert [fault.line for fault in faults.faults] == [3, 7, 12, 1000]


@pytest.mark.parametrize(
    ("location", "path"),
    [
        ((), ""),
        (("source",), "source"),
        (("transforms", 0, "filter"), "transforms[0].filter"),
        (("schema", "order id"), "schema['order id']"),
        (("schema", "a\nb"), "schema['a\\nb']"),
        (("bestellt_für",), "bestellt_für"),
    ],
)
def test_a_location_is_written_as_people_do(location: tuple[str | int, ...], path: str) -> None:
    assert key_path(location) == path


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("a\nb", "'a\\nb'"),
        (None, "null"),
        (True, "true"),
        (1.5, "1.5"),
        ({"a": 1}, "a mapping"),
        ([1], "a list"),
        ("x" * 100, "'" + "x" * 58 + "…"),
    ],
)
def test_a_value_is_shown_short_and_on_one_line(value: object, text: str) -> None:
    assert shown(value) == text


def test_the_nearest_word_is_offered_else_all() -> None:
    assert nearest("fiels", ["files", "rate"]) == "; did you mean 'files'?"
    assert nearest("kafka", ["files", "rate"]) == "; known: files, rate"
    assert nearest("kafka", []) == "; none is known"


def test_a_hint_follows_the_message() -> None:
    assert reason(ConfigError("wrong", hint="do better")) == "wrong; do better"
    assert reason(ConfigError("wrong")) == "wrong"
