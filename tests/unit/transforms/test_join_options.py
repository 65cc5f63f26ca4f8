from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from etl.project import default_project
from etl.transforms.join_options import JoinOptions


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"on": "a"}, "give one of `table`, `path` and `url`"),
        ({"table": "s.t", "path": "t", "on": "a"}, "give one of `table`, `path` and `url`"),
        ({"url": "sqlite:///x", "on": "a"}, "with `url` give either `table` or `query`"),
        ({"url": "sqlite:///x", "table": "t", "query": "SELECT 1", "on": "a"}, "with `url` give either"),
        ({"url": "sqlite:///x", "table": "t", "path": "p", "on": "a"}, "with `url` give either"),
        ({"query": "SELECT 1", "table": "s.t", "on": "a"}, "`query` needs the `url` of a database"),
        ({"table": "s.t", "on": "a", "format": "csv"}, "`format` and `format_options` go with `path`"),
        ({"table": "s.t", "on": "a", "schema": {"a": "int64"}}, "`schema` goes with `path` or `url`"),
        ({"table": "s.t"}, "give the key columns in `on`"),
        ({"table": "s.t", "on": []}, "give the key columns in `on`"),
        ({"table": "s.t", "on": "a", "how": "asof"}, "`how: asof` and `asof: {column: …}` go together"),
        ({"table": "s.t", "on": "a", "asof": {"column": "t"}}, "go together"),
        ({"table": "s.t", "on": "a", "how": "semi", "columns": ["b"]}, "`how: semi` adds no columns"),
        ({"table": "s.t", "on": "a", "how": "anti", "suffix": "_b"}, "`how: anti` adds no columns"),
        ({"table": "s.t", "on": "a", "how": "right"}, "Input should be 'left'"),
        ({"table": "s.t", "on": "a", "columns": []}, "at least 1"),
    ],
)
def test_options_that_contradict_each_other_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message.replace("{", r"\{").replace("}", r"\}")):
        JoinOptions.model_validate(options)


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ({"on": "a"}, None),
        ({"on": "a", "columns": ["b", "a"]}, ("a", "b")),
        ({"on": {"a": "x"}, "columns": {"b": "c"}}, ("x", "b")),
        ({"on": ["a", "b"], "how": "semi"}, ("a", "b")),
        ({"on": "a", "how": "asof", "asof": {"column": "t"}, "columns": ["b"]}, ("a", "t", "b")),
        ({"how": "asof", "asof": {"column": "t", "other": "u"}, "columns": ["b"]}, ("u", "b")),
    ],
)
def test_only_the_columns_that_are_compared_or_added_are_read(options: dict[str, Any], wanted: Any) -> None:
    assert JoinOptions.model_validate({"table": "s.t", **options}).wanted == wanted


@pytest.mark.parametrize(
    ("options", "urls"),
    [
        ({"table": "silver.users"}, ("/p/lake/silver/users",)),
        ({"path": "ref/*.csv"}, ("/p/ref/*.csv",)),
        ({"path": "s3://b/ref/"}, ("s3://b/ref",)),
        ({"url": "sqlite:///x.db", "table": "users"}, ()),
    ],
)
def test_what_is_read_of_the_lake_or_of_files_is_known_to_the_project(
    tmp_path: Any, options: dict[str, Any], urls: tuple[str, ...]
) -> None:
    found = JoinOptions.model_validate({"on": "a", **options}).read_urls(default_project(tmp_path))

    assert found == tuple(url.replace("/p/", f"{tmp_path}/") for url in urls)
