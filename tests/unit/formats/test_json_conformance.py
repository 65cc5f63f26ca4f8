"""The grammar of RFC 8259, case by case: each value stands in an object and is rescued, or the row is rejected."""

from __future__ import annotations

import json

import pytest

from etl.schema_contract import RESCUE, RESCUED
from tests.unit.formats.json_reading import read

VALID = [
    *("0", "-0", "1", "-1", "10", "123456789012345678901234567890", "0.5", "-0.5", "1.0", "0e1", "0e+1", "0E-1"),
    *("1e2", "1E22", "1e+2", "1.5e-3", "0.1e1", "-1e-999", "1e999", "20e1", "0.000000000000000000000000000000001"),
    *(
        "true",
        "false",
        "null",
        '""',
        '"a"',
        '" "',
        '"\\"\\\\\\/\\b\\f\\n\\r\\t"',
        '"\\u0012"',
        '"\\uFFFF"',
        '"\\u0000"',
    ),
    *('"\\ud834\\udd1e"', '"\\uD801\\udc37"', '"\\u0060\\u012a\\u12AB"', '"\u2028\u2029"', '"\x7f"', '"€𝄞"'),
    *('"a/*b*/c"', '"\\\\u0000"', '"\\\\a"', '"\U0010ffff"', '"\ufdd0"', '"[1,{\\"a\\":2}"', '"\u00a0"', '"\ufeff"'),
    *("[]", "[ ]", "[[]]", "[[[]],[]]", "[1,2]", "[1 , 2]", '[null,1,\t"a",true,{}]', "[1,null,null,2]"),
    *("{}", "{ }", '{"a":[]}', '{"":0}', '{"a":1,"b":{"a":2}}', '{"a\\u0000":0}', '{"\\u0061":1,"b":2}', '{"a" :\r1}'),
]
INVALID = [
    *("01", "-01", "00", "+1", "1.", "-1.", ".5", "-.5", "1.e1", "1e", "1e+", "1eE2", "1.2.3", "1 000", "1_000", "0x1"),
    *("0x", "0e", "-", "--1", "- 1", "-a", "1a", "1ee", "Inf", "NaN", "-NaN", "Infinity", "-Infinity", "nan", "inf"),
    *("True", "nul", "truE", "undefined", "a", "'a'", "1,", "\uff11", "0.5.", "1.0e", "1/2", "٣"),
    *('"', '"a', '"\\', '"\\"', '"\\x00"', '"\\u12"', '"\\u12G4"', '"\\U0041"', '"\\ "', '"\\a"', '"a\tb"', '"\x00"'),
    *('"\x1f"', '"\\\u00e5"', '"a" b', '"a""b"', "“a”", '"\\uD800\\', '"\\u', "`a`"),
    *("[", "]", "[1", "[1,", "[1,]", "[,1]", "[,]", "[1,,2]", "[1 2]", "[1:2]", "[1]]", '["a"', "[a]", "[1}", "[//1]"),
    *("{", '{"a"', '{"a":', '{"a":1', '{"a":1,}', '{"a",1}', "{a:1}", "{1:1}", "{'a':1}", '{"a":1 "b":2}', '{"a"::1}'),
    *('{"a":1,,"b":2}', '{,"a":1}', '{"a" 1}', '{"a":1]', "{null:1}", '{"a":/**/1}', '{"a":1}}', '{"a":1,"a":1}'),
    *("", " ", ":", ",", "\u00a0", "\ufeff1", "\x0c1", "\x0b1", "#", "/**/", "1//", "&", "\\u0031", "\\n"),
]
HALVES = [
    '"\\ud800"',
    '"\\udc00"',
    '"\\ud800\\ud800"',
    '"\\udc00\\ud800"',
    '"\\ud800\\u0041"',
    '"\\ud800a"',
    '{"\\udbff":1}',
]


@pytest.mark.parametrize("name", ["ndjson", "json"])
@pytest.mark.parametrize("is_first", [True, False])
def test_every_valid_value_is_kept_as_it_is(name: str, is_first: bool) -> None:
    for value in VALID:
        line = f'{{"v":{value}}}'.encode()
        found = read(line + b"\n{}" if is_first else b'{"v":1}\n' + line, {RESCUED: "string"}, RESCUE, name=name)
        assert found.rejects == [], value
        rescued = found.rows[0 if is_first else 1][0]
        assert json.loads(rescued, parse_float=str, parse_int=str) == json.loads(
            line, parse_float=str, parse_int=str
        ), value


@pytest.mark.parametrize("value", INVALID)
def test_what_is_no_value_is_a_syntax_reject_by_itself(value: str) -> None:
    line = f'{{"v":{value}}}'.encode()
    found = read(b"{}\n" + line + b"\n{}\n", {RESCUED: "string"}, RESCUE)
    assert found.rows == [(None, 0), (None, len(line) + 4)]
    assert found.rejects == [(3, 2, "syntax", line)]


@pytest.mark.parametrize("name", ["ndjson", "json"])
@pytest.mark.parametrize("value", HALVES)
def test_half_a_surrogate_pair_is_an_encoding_reject(value: str, name: str) -> None:
    line = f'{{"v":{value}}}'.encode()
    found = read(b"{}\n" + line + b"\n{}\n", {RESCUED: "string"}, RESCUE, name=name)
    assert found.rows == [(None, 0), (None, len(line) + 4)]
    assert found.rejects == [(3, 2, "encoding", line)]


@pytest.mark.parametrize(
    "raw",
    [
        b"\xff",
        b"\xc3",
        b"\xc0\xaf",
        b"\xe0\x80\xaf",
        b"\xed\xa0\x80",
        b"\xf4\x90\x80\x80",
        b"\x80",
        b"\xf8\x88\x80\x80\x80",
    ],
)
@pytest.mark.parametrize("name", ["ndjson", "json"])
def test_bytes_that_are_no_utf8_are_an_encoding_reject(raw: bytes, name: str) -> None:
    line = b'{"v":"' + raw + b'"}'
    found = read(b"{}\n" + line + b"\n{}\n", {RESCUED: "string"}, RESCUE, name=name)
    assert found.rows == [(None, 0), (None, len(line) + 4)]
    assert found.rejects == [(3, 2, "encoding", line)]
