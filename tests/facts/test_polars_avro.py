"""Why Avro is not read by polars."""

from __future__ import annotations

import io
import subprocess
import sys

import polars as pl
import pytest

from tests.unit.formats.files import avro


def test_polars_refuses_a_union_of_three_types() -> None:
    with pytest.raises(pl.exceptions.ComputeError, match="not yet implemented"):
        pl.read_avro(io.BytesIO(avro({"a": ["null", "long", "double"]}, [{"a": 1}])))


def test_polars_panics_on_a_map() -> None:
    content = avro({"a": {"type": "map", "values": "int"}}, [{"a": {"k": 1}}])
    script = "import io, sys, polars; polars.read_avro(io.BytesIO(sys.stdin.buffer.read()))"
    done = subprocess.run([sys.executable, "-c", script], input=content, capture_output=True, check=False)
    assert done.returncode != 0
    assert b"PanicException" in done.stderr
