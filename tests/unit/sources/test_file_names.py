from __future__ import annotations

import doctest
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from etl.sources import file_names
from etl.sources.file_names import from_text, join, partitions, split, to_text, why_skipped

legal_names = st.binary(min_size=1, max_size=40).filter(lambda name: b"\0" not in name).map(os.fsdecode)


def test_the_examples_hold() -> None:
    assert doctest.testmod(file_names).failed == 0


@given(legal_names)
def test_any_path_survives_as_valid_text(path: str) -> None:
    text = to_text(path)
    text.encode()
    assert from_text(text) == path


@given(legal_names, legal_names)
def test_two_paths_never_share_a_text(one: str, other: str) -> None:
    assert (to_text(one) == to_text(other)) == (one == other)


@pytest.mark.parametrize(
    ("path", "folder", "name"),
    [("a", "", "a"), ("/a", "/", "a"), ("x/a", "x", "a"), ("/x/y/a", "/x/y", "a"), ("s3://b/k", "s3://b", "k")],
)
def test_a_path_splits_into_folder_and_name_and_back(path: str, folder: str, name: str) -> None:
    assert split(path) == (folder, name)
    assert join(folder, name) == path


def test_a_name_is_skipped_unless_the_pattern_asks_for_it() -> None:
    assert why_skipped("a.csv", "*") is None
    assert why_skipped(".a", "*") == "hidden: the name starts with '.'"
    assert why_skipped(".a", ".*") is None
    assert why_skipped("_a", "*") == "hidden: the name starts with '_'"
    assert why_skipped("_k=1", "**") is None
    assert why_skipped("a~", "*") == "temporary: the name ends with '~'"
    assert why_skipped("a~", "*~") is None


def test_partition_values_are_decoded_once() -> None:
    assert partitions("p=a%252Fb/q=/=x/f=1.csv") == {"p": "a%2Fb", "q": ""}
