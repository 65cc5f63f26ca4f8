"""Options of the files source that make no sense are refused where they stand."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from etl.sources.file_options import FileOptions

VERSIONS = {"identity": "path_and_version"}
TAILS = {"on_change": "append_tail"}


def test_a_format_that_is_none_is_refused_by_its_key() -> None:
    with pytest.raises(ValidationError) as caught:
        FileOptions.model_validate({"path": "a", "format": "xml", "format_options": {"header": True}})

    assert {fault["loc"][0] for fault in caught.value.errors()} == {"format"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, ": give either `path` or `include`"),
        ({"path": "a", "include": ["b"]}, ": give either `path` or `include`"),
        ({"path": "a", "on_change": "fail"}, "on_change: needs `identity: path_and_version`"),
        ({"on_change": "fail", "identity": "content", "path": "a"}, "on_change: needs `identity: path_and_version`"),
        ({"path": "a[b"}, "path: 'a[b' has a '[' without ']'"),
        ({"path": "a{b"}, "path: 'a{b' has a '{' without '}'"),
        ({"path": "a}*"}, "path: 'a}*' has a '}' without '{'"),
        ({"path": "x/[z-a]"}, "path: '[z-a]' is not a set of characters"),
        ({"path": ""}, "path: an empty path"),
        ({"include": ["a", "b[c"]}, "include: 'b[c' has a '[' without ']'"),
        ({"path": "a", "exclude": ["{"]}, "exclude: '{' has a '{' without '}'"),
        ({"path": "a", "stable_for": 1.5}, "stable_for: not a duration"),
        ({"path": "a", "format_options": {"header": True}}, "format_options: needs `format`"),
        ({"path": "a", "format": "ndjson", "format_options": {"header": True}}, "format_options: header: Extra inputs"),
        ({"path": "a", "on_change": "append"}, "on_change: Input should be"),
        ({"path": "a", "on_change": "replace_rows"}, "on_change: needs `identity: path_and_version`"),
        ({"path": "a", **VERSIONS, "on_change": "append_tail", "format": "parquet"}, "on_change: append_tail reads"),
        (
            {"path": "a", **VERSIONS, **TAILS, "format": "csv", "format_options": {"encoding": "utf-16"}},
            "on_change: append_tail cannot tell where a line of UTF-16 ends",
        ),
        (
            {"path": "a", **VERSIONS, **TAILS, "format": "lines", "format_options": {"multiline": {"start": "^x"}}},
            "on_change: append_tail cannot tell whether a record of several lines has ended",
        ),
        (
            {"path": "a", **VERSIONS, "on_change": "append_tail", "after_commit": "delete"},
            ": `on_change: append_tail` needs `after_commit: keep`",
        ),
        ({"path": "a", "notifications": {}}, "notifications: Extra inputs"),
    ],
)
def test_options_that_make_no_sense_are_refused_by_their_key(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError) as caught:
        FileOptions.model_validate(options)

    (fault,) = caught.value.errors()
    told = f"{'.'.join(map(str, fault['loc']))}: {fault['msg'].removeprefix('Value error, ')}"
    assert told.startswith(message)
