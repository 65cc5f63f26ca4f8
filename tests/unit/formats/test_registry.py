"""Which format a name stands for."""

from __future__ import annotations

import pytest

from etl.errors import ConfigError
from etl.formats import FORMATS, format_of


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("a/b.jsonl", "ndjson"),
        ("b.NDJSON.GZ", "ndjson"),
        ("b.csv", "csv"),
        ("x.y.tsv.zst", "tsv"),
        ("p=1/b.parquet", "parquet"),
    ],
)
def test_format_is_told_by_the_extension_without_compression(path: str, name: str) -> None:
    assert format_of(path) == name
    assert name in FORMATS


@pytest.mark.parametrize("path", ["a.txt", "csv.d/readme", "a.gz", "", ".csv.bak"])
def test_other_names_are_refused(path: str) -> None:
    with pytest.raises(ConfigError, match="the format cannot be told from the name"):
        format_of(path)


def test_json_is_refused_with_the_word_to_write() -> None:
    with pytest.raises(ConfigError, match="`format: ndjson` reads one JSON object per line"):
        format_of("a.json.gz")
