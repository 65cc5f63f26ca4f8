"""Which format a name stands for."""

from __future__ import annotations

import subprocess
import sys

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
        ("a.avro", "avro"),
        ("a.arrow", "arrow"),
        ("a.feather", "arrow"),
        ("a.ipc.bz2", "arrow"),
        ("a.txt.xz", "text"),
        ("app.log", "text"),
        ("a.XLSX", "xlsx"),
    ],
)
def test_format_is_told_by_the_extension_without_compression(path: str, name: str) -> None:
    assert format_of(path) == name
    assert name in FORMATS


@pytest.mark.parametrize("path", ["a.dat", "csv.d/readme", "a.gz", "", ".csv.bak", "dir.csv/log", "parquet"])
def test_other_names_are_refused_with_the_words_to_write(path: str) -> None:
    with pytest.raises(ConfigError, match=r"the format cannot be told from the name\n  write `format:` .* or cri"):
        format_of(path)


def test_importing_the_formats_imports_no_heavy_library() -> None:
    script = "import sys, etl.formats; print(sorted({'polars', 'pyarrow', 'fastavro', 'openpyxl'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
