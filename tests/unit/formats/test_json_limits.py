"""JSON lines of a size that memory must not follow."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ONE_LINE = """
import resource, sys
from pathlib import Path
from etl.formats.contract import FileOpener
from etl.formats.ndjson import Ndjson

path = Path(sys.argv[1])
file = FileOpener(str(path), path.stat().st_size, lambda: path.open("rb"))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
rows, rejects = 0, []
for task in Ndjson().tasks(file, {"s": "string"}):
    for chunk in task():
        rows += chunk.rows
        if chunk.rejects is not None:
            rejects += chunk.rejects.select("_source_offset", "line", "rule", chunk.rejects["raw"].bin.size()).rows()
survey = Ndjson().survey(file, None)
grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
print(rows, rejects, survey.schema, grown < 400_000, sep="|")
"""


@pytest.mark.parametrize("size_bytes", [200_000_000, pytest.param(1_000_000_000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("kind", ["plain", pytest.param("gzip", marks=pytest.mark.slow)])
def test_line_of_a_gigabyte_is_a_reject_and_memory_stays_bounded(tmp_path: Path, size_bytes: int, kind: str) -> None:
    path = tmp_path / "long.ndjson"
    with path.open("wb") as file:
        file.write(b'{"s":"a"}\n{"s":"')
        for _ in range(size_bytes // 1_000_000):
            file.write(b"x" * 1_000_000)
        file.write(b'"}\n{"s":"b"}\n')
    if kind == "gzip":
        subprocess.run(["gzip", "-1", path], check=True)
        path = path.with_name("long.ndjson.gz")
    found = subprocess.run([sys.executable, "-c", ONE_LINE, str(path)], check=True, capture_output=True, text=True)
    assert found.stdout == "2|[(10, 2, 'too_long', 65536)]|{'s': 'string'}|True\n"
