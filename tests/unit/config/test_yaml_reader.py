from __future__ import annotations

from pathlib import Path

import pytest

from etl.config.faults import ConfigFaults
from etl.config.yaml_reader import MAX_BYTES, parse_yaml, read_yaml


def parsed(text: str) -> object:
    document = parse_yaml(text.encode(), "a.yml")
    assert document.faults == []
    return document.data


def noted(text: str) -> list[str]:
    return [f"{fault.line}:{fault.column} {fault.message}" for fault in parse_yaml(text.encode(), "a.yml").faults]


def refused(content: str | bytes) -> str:
    with pytest.raises(ConfigFaults) as caught:
        parse_yaml(content.encode() if isinstance(content, str) else content, "a.yml")
    fault = caught.value.faults[-1]
    return f"{fault.line}:{fault.column} {fault.message}"


@pytest.mark.parametrize(
    "text", ["on", "no", "yes", "010", "0x1F", "0o17", "12:30:45", "1_000", "2024-01-02", ".inf", "1.2.3", "<<", "="]
)
def test_a_plain_word_of_older_yaml_stays_text(text: str) -> None:
    assert parsed(f"a: {text}") == {"a": text}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("true", True),
        ("False", False),
        ("null", None),
        ("~", None),
        ("", None),
        ("0", 0),
        ("-12", -12),
        ("+7", 7),
        ("1.5", 1.5),
        ("1e3", 1000.0),
        (".5", 0.5),
        ("5.", 5.0),
        ("'true'", "true"),
        ('"12"', "12"),
        ("|\n  two\n  lines\n", "two\nlines\n"),
    ],
)
def test_a_scalar_has_its_core_value(text: str, value: object) -> None:
    data = parsed(f"a: {text}")
    assert data == {"a": value}
    assert isinstance(data, dict)
    assert type(data["a"]) is type(value)


def test_keys_are_text_as_written() -> None:
    assert parsed("{on: 1, 1: 2, null: 3, true: 4}") == {"on": 1, "1": 2, "null": 3, "true": 4}


def test_a_document_knows_the_place_of_values_and_keys() -> None:
    document = parse_yaml(b"source:\n  type: files\ntransforms:\n  - filter: a > 1\n", "a.yml")
    assert document.where(("source", "type")) == (2, 9)
    assert document.where(("source", "type"), key=True) == (2, 3)
    assert document.where(("transforms", 0)) == (4, 5)
    assert document.where(("transforms", 0, "filter")) == (4, 13)


def test_a_missing_place_is_that_of_its_nearest_parent_key() -> None:
    document = parse_yaml(b"a: 1\nsource:\n  type: files\n", "a.yml")
    assert document.where(("source", "path")) == (2, 1)
    assert document.where(("sink", "table")) == (1, 1)


def test_columns_count_characters_not_bytes_and_not_the_byte_order_mark() -> None:
    document = parse_yaml("\ufeff{é: 'ä', b: 1}".encode(), "a.yml")
    assert document.where(("b",), key=True) == (1, 10)


def test_a_duplicate_key_is_noted_with_both_positions() -> None:
    assert noted("path: a\nb: 1\npath: c\n") == ["3:1 duplicate key 'path'; the first is at 1:1"]


def test_tags_are_noted_on_keys_and_values() -> None:
    text = "a: !!python/object/apply:os.system ['x']\n!!str b: !custom 1\nc: ! d\n"
    assert noted(text) == [
        "1:4 tag 'tag:yaml.org,2002:python/object/apply:os.system'; tags are not allowed",
        "2:1 tag 'tag:yaml.org,2002:str'; tags are not allowed",
        "2:10 tag '!custom'; tags are not allowed",
        "3:4 tag '!'; tags are not allowed",
    ]


def test_a_number_out_of_range_and_a_nul_are_noted() -> None:
    assert noted("a: 1e999") == ["1:4 number '1e999' is out of range"]
    assert noted("a: " + "9" * 50) == [f"1:4 number '{'9' * 50}' is out of range"]
    assert noted('a: "x\\0"') == ["1:4 a NUL character"]


def test_an_alias_is_written_out_with_positions_of_its_anchor() -> None:
    document = parse_yaml(b"a: &x {k: 1}\nb: *x\n", "a.yml")
    assert document.data == {"a": {"k": 1}, "b": {"k": 1}}
    assert document.where(("b", "k")) == (1, 11)


def test_an_alias_bomb_is_refused() -> None:
    rows = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    rows += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    assert refused("\n".join(rows)) == "1:34 more than 50,000 nodes after aliases are expanded"


def test_exactly_the_allowed_number_of_nodes_is_read() -> None:
    assert len(parsed("a: [" + "1, " * 49_997 + "1]")["a"]) == 49_998  # type: ignore[index]
    assert refused("a: [" + "1, " * 49_998 + "1]").endswith("more than 50,000 nodes after aliases are expanded")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: *x\n", "1:4 alias *x refers to nothing before it, or to itself"),
        ("a: &x [*x]\n", "1:8 alias *x refers to nothing before it, or to itself"),
        ("a:\n\tb: 1\n", "2:1 a tab; indent with spaces"),
        ("a: [1\n", "2:1 not YAML: did not find expected ',' or ']' while parsing a flow sequence"),
        ("a: b: c\n", "1:5 not YAML: mapping values are not allowed in this context"),
        ("a: b\x01\n", "1:5 a control character"),
        ("é: 1\nb: \x02\n", "2:4 a control character"),
        ('a: "\\ud800"\n', "1:7 not YAML: found invalid Unicode character escape code while parsing a quoted scalar"),
        ("", "1:1 empty; a mapping is expected"),
        ("# nothing\n", "1:1 empty; a mapping is expected"),
        ("- a\n", "1:1 a mapping is expected at the top"),
        ("text\n", "1:1 a mapping is expected at the top"),
        ("a: 1\n---\nb: 2\n", "2:1 a second document; one file holds one"),
        ("? [a]\n: 1\n", "1:3 a key must be plain text"),
        ("a: &x b\n*x : 1\n", "2:1 a key must be plain text"),
    ],
)
def test_what_is_no_mapping_in_plain_yaml_is_refused_with_its_place(text: str, message: str) -> None:
    assert refused(text) == message


def test_bytes_that_are_not_utf_8_are_refused_with_their_place() -> None:
    assert refused("é: 1\nb: ü".encode() + b"\xff\n") == "2:5 not UTF-8: byte 0xff"
    assert refused("a: 1".encode("utf-16")) == "1:1 not UTF-8: byte 0xff"


@pytest.mark.parametrize(
    "text", ["a: " + "[" * 100_000, "a: " + "{a: " * 5_000, "- " * 5_000, "a: " + "[" * 70 + "]" * 70]
)
def test_deep_nesting_is_refused(text: str) -> None:
    assert "nested deeper than 64 levels" in refused(text)


def test_nesting_through_aliases_counts() -> None:
    rows = ["a0: &a0 [[[[[[[[[[x]]]]]]]]]]"]
    rows += [f"a{n}: &a{n} [[[[[[[[[[*a{n - 1}]]]]]]]]]]" for n in range(1, 8)]
    assert "nested deeper than 64 levels" in refused("\n".join(rows))


def test_a_file_beyond_the_limit_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "a.yml"
    path.write_bytes(b"a: 1\n".ljust(MAX_BYTES + 1, b"#"))
    with pytest.raises(ConfigFaults, match="larger than 1,000,000 bytes"):
        read_yaml(path, "a.yml")


def test_a_file_that_cannot_be_read_is_a_fault(tmp_path: Path) -> None:
    with pytest.raises(ConfigFaults, match=r"a\.yml: 1 problem\n  1:1    cannot be read: Is a directory"):
        read_yaml(tmp_path, "a.yml")
