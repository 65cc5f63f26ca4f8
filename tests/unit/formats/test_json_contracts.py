"""JSON under every policy of the schema contract: what is added, rescued, ignored, set aside, what stops the run."""

from __future__ import annotations

import json
from typing import Any

import pytest

from etl.errors import RowError, SchemaDriftError
from etl.formats.ndjson import Ndjson
from etl.model import Schema
from etl.schema_contract import EVOLVE, RESCUE, RESCUED, STRICT, SchemaContract, Survey
from tests.unit.formats.json_reading import opener, read, survey

N: dict[str, Any] = {"n": "int64"}
NESTED: dict[str, Any] = {"s": {"struct": {"a": "int64"}}, "l": {"list": {"struct": {"a": "int64"}}}}
IGNORE = SchemaContract("ignore", "quarantine", "null")


def rescuing(schema: dict[str, Any]) -> dict[str, Any]:
    return schema | {RESCUED: "string"}


@pytest.mark.parametrize(
    ("line", "schema"),
    [
        (b'{"m":1}', N),
        (b'{"s":{"b":1}}', NESTED),
        (b'{"l":[{"b":1}]}', NESTED),
        (b'{"n":5}', {"n": "null"}),
        (b'{"n":{}}', {"n": "null"}),
        (b'{"n":{"x":1}}', {"n": "null"}),
        (b'{"n":["x"]}', {"n": {"list": "null"}}),
        (b'{"n":[{}]}', {"n": {"list": "null"}}),
        (b'{"n":1.5}', N),
    ],
)
def test_what_the_schema_lacks_is_drift_that_a_survey_mends(line: bytes, schema: dict[str, Any]) -> None:
    with pytest.raises(SchemaDriftError, match=r"^in/f: input that the schema lacks: column [msln]$"):
        read(line, schema)
    widened = survey(line, schema).schema
    assert widened != schema
    assert len(read(line, widened).rows) == 1


@pytest.mark.parametrize("contract", [RESCUE, STRICT, IGNORE])
def test_column_of_unknown_type_becomes_known_under_every_contract(contract: SchemaContract) -> None:
    schema = {"n": "null"} | ({RESCUED: "string"} if contract.rescues else {})
    with pytest.raises(SchemaDriftError):
        read(b'{"n":{"x":1,"y":[]}}\n', schema, contract)
    assert survey(b'{"n":{"x":1,"y":[]}}\n', schema, contract).schema == schema | {
        "n": {"struct": {"x": "int64", "y": {"list": "null"}}}
    }


def test_row_that_is_rejected_anyway_is_no_drift_and_adds_nothing() -> None:
    content = b'{"n":1}\n{"n":"x","new":1}\n{"n":2,"new":{"a":1,"a":2}}\n{"new":[1,"x"]}\n'
    found = read(content, N)
    assert [(line, rule) for _, line, rule, _ in found.rejects] == [(2, "type"), (3, "syntax"), (4, "type")]
    assert survey(content, N).schema == N


def test_fraction_in_a_wide_column_is_rejected_instead_of_drift() -> None:
    content = b'{"n":9007199254740993}\n{"n":1.5}\n'
    with pytest.raises(SchemaDriftError):
        read(content, N)
    assert survey(content, N) == Survey(N, frozenset({"n"}))
    found = read(content, N, wide=frozenset({"n"}))
    assert found.rows == [(9007199254740993, 0)]
    assert found.reasons == ["column n: 1.5 is no int64"]
    assert found.wide == {"n"}


def test_wide_integers_are_noticed_at_any_depth_and_only_where_integers_may_become_floats() -> None:
    schema = {"n": "int64", "s": {"struct": {"a": "int64"}}, "l": {"list": {"struct": {"a": "int64"}}}}
    content = b'{"n":9007199254740992,"s":{"a":-9007199254740993},"l":[{"a":1},{"a":9007199254740994}]}\n'
    for rest in (b"", b"x\n"):
        assert read(content + rest, schema).wide == {"s.a", "l[].a"}
        assert read(content + rest, schema, STRICT).wide == frozenset()


def test_rescue_keeps_what_has_no_column_as_json_in_the_shape_of_the_input() -> None:
    content = b'{"s":{"a":1,"d":1.50},"b":5,"l":[{"a":1},null,{"a":2,"x":[1e400]}]}\n{"s":{"a":2}}\n'
    found = read(content, rescuing(NESTED), RESCUE)
    assert found.rows == [
        (
            {"a": 1},
            [{"a": 1}, None, {"a": 2}],
            '{"s": {"d": 1.50}, "b": 5, "l": [null, null, {"x": [1e400]}]}',
            0,
        ),
        ({"a": 2}, None, None, len(content) - 14),
    ]
    assert found.rejects == []


@pytest.mark.parametrize(
    ("line", "schema", "kept", "rescued"),
    [
        ('{"n":1.5}', N, None, '{"n": 1.5}'),
        ('{"n":9223372036854775808}', N, None, '{"n": 9223372036854775808}'),
        ('{"n":"ü\\n"}', N, None, '{"n": "ü\\n"}'),
        ('{"n":{"a":[]}}', N, None, '{"n": {"a": []}}'),
        ('{"n":[1,"x",2]}', {"n": {"list": "int64"}}, [1, None, 2], '{"n": [null, "x", null]}'),
        (
            '{"n":{"a":"x","b":1}}',
            {"n": {"struct": {"a": "int64", "b": "int64"}}},
            {"a": None, "b": 1},
            '{"n": {"a": "x"}}',
        ),
        ('{"n":"2024-02-30"}', {"n": "date"}, None, '{"n": "2024-02-30"}'),
        ('{"n":7,"_rescued_data":"mine"}', N, 7, '{"_rescued_data": "mine"}'),
        ('{"n":null,"b":null}', N, None, '{"b": null}'),
    ],
)
def test_rescue_keeps_a_value_that_its_column_cannot_hold(
    line: str, schema: dict[str, Any], kept: Any, rescued: str
) -> None:
    assert read(line.encode(), rescuing(schema), RESCUE).rows == [(kept, rescued, 0)]
    assert json.loads(rescued).keys() <= json.loads(line).keys()


@pytest.mark.parametrize("line", [b'{"b":NaN}', b'{"b":{"a":1,"a":2}}', b'{"b":"\\ud800"}', b'{"b":1', b"[]"])
def test_rescue_does_not_rescue_what_is_no_json(line: bytes) -> None:
    found = read(line, rescuing(N), RESCUE)
    assert found.rows == []
    assert [rule in ("syntax", "encoding") for _, _, rule, _ in found.rejects] == [True]


def test_ignore_drops_new_names_at_any_depth_and_does_not_look_into_them() -> None:
    lines = [
        b'{"s":{"a":1,"z":2},"b":{"x":[NaN]},"l":[{"a":1,"q":{}}]}',
        b'{"s":{"a":2},"b":1e400}',
        b'{"s":{"a":3},"b":{"x":1,"x":2}}',
        b'{"s":{"a":4},"b":' + b"[" * 3000 + b"]" * 3000 + b"}",
    ]
    content = b"\n".join(lines) + b"\n"
    expected = [({"a": 1}, [{"a": 1}]), ({"a": 2}, None), ({"a": 3}, None), ({"a": 4}, None)]
    for given in (content, b'{"s":"bad"}\n' + content):
        found = read(given, NESTED, IGNORE)
        assert [row[:-1] for row in found.rows] == expected
    assert [rule for _, _, rule, _ in found.rejects] == ["type"]


@pytest.mark.parametrize(
    ("contract", "line", "reason"),
    [
        (SchemaContract("fail", "quarantine", "null"), b'{"n":1,"b":2}', "column b is not in the schema"),
        (SchemaContract("quarantine", "fail", "null"), b'{"n":"x"}', 'column n: "x" is no int64'),
        (SchemaContract("quarantine", "quarantine", "fail"), b"{}", "column n is missing"),
    ],
)
@pytest.mark.parametrize("look", [read, survey])
def test_fail_stops_with_file_and_line(look: Any, contract: SchemaContract, line: bytes, reason: str) -> None:
    content = b'{"n":1}\nbad\n' + line + b'\n{"n":1}\n'
    with pytest.raises(RowError) as caught:
        look(content, N, contract)
    assert caught.value.where == "in/f:3"
    assert caught.value.message == f"{reason}, in: {line.decode()}"


@pytest.mark.parametrize("rest", [b"", b"bad\n"])
def test_missing_names_are_told_from_nulls_at_any_depth(rest: bytes) -> None:
    contract = SchemaContract("quarantine", "quarantine", "quarantine")
    schema = {"n": "int64", **NESTED}
    content = b"".join(
        [
            b'{"n":null,"s":{"a":null},"l":[]}\n',
            b'{"n":1,"s":null,"l":null}\n',
            b'{"s":null,"l":null}\n',
            b'{"n":1,"s":{},"l":null}\n',
            b'{"n":1,"s":null,"l":[{"a":1},{}]}\n',
        ]
    )
    found = read(content + rest, schema, contract)
    assert [row[:-1] for row in found.rows] == [(None, {"a": None}, []), (1, None, None)]
    assert found.reasons[:3] == ["column n is missing", "column s.a is missing", "column l[].a is missing"]
    assert {rule for _, line, rule, _ in found.rejects if line < 6} == {"missing_column"}


def test_survey_takes_rows_one_by_one() -> None:
    content = b"".join(
        [
            b'{"a":1,"t":"2024-01-01T00:00:00Z"}\n',
            b'{"a":"x","lost":1}\n',
            b'{"a":1.5,"b":null,"o":{}}\n',
            b'{"a":9007199254740993,"lost":1}\n',
            b'{"a":9007199254740992,"late":[{"x":true},null],"e":[]}\n',
            b'{"b":{"z":1},"o":{"y":2}}\n',
            b'{"w":9007199254740993}\n{"w":0.5,"lost":1}\n',
        ]
    )
    expected: Schema = {
        "a": "float64",
        "t": "string",
        "b": {"struct": {"z": "int64"}},
        "o": {"struct": {"y": "int64"}},
        "late": {"list": {"struct": {"x": "boolean"}}},
        "e": {"list": "null"},
        "w": "int64",
    }
    for chunk_bytes in (40, 100, 10_000):
        found = survey(content, chunk_bytes=chunk_bytes)
        assert found == Survey(expected, frozenset({"w"}))
        assert list(found.schema) == list(expected)


def test_survey_of_clean_lines_needs_no_look_at_single_ones_and_finds_the_same() -> None:
    clean = b'{"a":1,"l":[1,null,2.5],"m":[null,{"k":9007199254740993}]}\n{"b":[[]],"a":2.5,"l":null}\n'
    expected: Schema = {
        "a": "float64",
        "l": {"list": "float64"},
        "m": {"list": {"struct": {"k": "int64"}}},
        "b": {"list": {"list": "null"}},
    }
    for content in (clean, clean + b"bad\n"):
        assert survey(content) == Survey(expected, frozenset({"m[].k"}))


def test_survey_keeps_what_is_known_and_appends_the_rest() -> None:
    known = {"z": "date", "s": {"struct": {"a": "int64", "q": "timestamp"}}, "k": "null", "gone": "decimal(5,2)"}
    found = survey(b'{"new":1,"z":"2024-01-01","s":{"b":"x","a":1},"k":5}\n', known).schema
    assert found == {
        **known,
        "s": {"struct": {"a": "int64", "q": "timestamp", "b": "string"}},
        "k": "int64",
        "new": "int64",
    }
    assert list(found) == ["z", "s", "k", "gone", "new"]


def test_survey_gives_declared_types_no_new_form() -> None:
    known = {"d": "date", "m": "decimal(5,2)", "i": "int8", "l": {"list": "timestamp"}}
    content = b'{"d":"2024-13-01","new":1}\n{"m":1234.5,"new":1}\n{"i":300,"new":1}\n{"l":["x"],"new":1}\n'
    assert survey(content, known).schema == known
    assert survey(content + b'{"i":1,"new":"y"}\n', known).schema == known | {"new": "string"}


@pytest.mark.parametrize("contract", [RESCUE, STRICT, IGNORE])
def test_survey_leaves_the_schema_as_it_is_where_the_contract_does_not_evolve(contract: SchemaContract) -> None:
    schema = NESTED | N | ({RESCUED: "string"} if contract.rescues else {})
    content = b'{"n":1.5}\n{"b":1}\n{"s":{"z":1}}\n{"n":9007199254740993}\n'
    assert survey(content, schema, contract) == Survey(schema)


def test_first_look_of_all_evolves_under_every_contract() -> None:
    assert survey(b'{"n":1}\n{"n":1.5,"b":"x"}\n', None, STRICT).schema == {"n": "float64", "b": "string"}


def test_contract_that_evolves_columns_and_rescues_types_does_both_for_one_row() -> None:
    contract = SchemaContract("evolve", "rescue", "null")
    content = b'{"n":"x","new":[1,"y"]}\n'
    with pytest.raises(SchemaDriftError):
        read(content, rescuing(N), contract)
    schema = survey(content, rescuing(N), contract).schema
    assert schema == {"n": "int64", "new": {"list": "int64"}, RESCUED: "string"}
    assert read(content, schema, contract).rows == [(None, [1, None], '{"n": "x", "new": [null, "y"]}', 0)]


def test_known_survey_with_unreadable_files_keeps_them() -> None:
    known = Survey(N, frozenset(), {"in/g": "cut off"})
    assert Ndjson(contract=EVOLVE).survey(opener(b'{"b":1}'), known).unreadable == {"in/g": "cut off"}


@pytest.mark.parametrize("is_alone", [True, False])
def test_a_name_that_stands_twice_counts_only_where_it_is_not_ignored(*, is_alone: bool) -> None:
    other = b"" if is_alone else b'{"n":"x"}\n'  # a line that does not fit has every other looked at, too
    schema: dict[str, Any] = N | {"s": {"struct": {"a": "int64"}}}
    found = read(other + b'{"m":1,"m":2,"n":1,"s":{"z":1,"z":2}}\n', schema, IGNORE)
    assert [row[0] for row in found.rows] == [1]
    found = read(other + b'{"s":{"a":1,"a":2}}\n', schema, IGNORE)
    assert [rule for _, _, rule, _ in found.rejects] == ["syntax"] if is_alone else ["type", "syntax"]


@pytest.mark.parametrize(
    ("known", "value"),
    [
        ("null", b"NaN"),
        ("null", b"[NaN]"),
        ("null", b'{"a":[-Infinity]}'),
        ("int64", b"NaN"),
        ("int64", b"[NaN]"),
        ("int64", b'{"a":[-Infinity]}'),
        ({"struct": {}}, b"NaN"),
        ({"struct": {}}, b"[NaN]"),
    ],
)
def test_what_is_no_json_is_told_as_that_whatever_the_type(known: Any, value: bytes) -> None:
    found = read(b'{"n":' + value + b"}\n", {"n": known}, IGNORE)
    assert [rule for _, _, rule, _ in found.rejects] == ["syntax"]
