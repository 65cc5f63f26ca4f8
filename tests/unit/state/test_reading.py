"""State read by people and tools, who have nothing but the checkpoint."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from etl.errors import StateError
from etl.model import StateRef
from etl.state.contract import StateChange, TableLayout
from etl.state.limits import Limits
from etl.state.reading import StateReader, TableFacts
from tests.state_model import MADE_BY, MOMENT, START, Both, at_us, local

LAYOUT = TableLayout({"k": pl.String()}, {"v": pl.Int64(), "at": MOMENT}, expires="at")


def history(folder: Path, hash_bits: int = 64) -> list[StateRef]:
    both = Both(LAYOUT, Limits(fold_bytes=0, max_runs=0, fold_factor=1e6, hash_bits=hash_bits), local(folder))
    for number in range(3):
        at = [START.replace(minute=number), None]
        put = pl.DataFrame({"k": [f"k{number}", "all"], "v": [number, number], "at": at}, schema=LAYOUT.columns)
        both.change(StateChange(put=put))
    return [ref for ref in both.refs if ref is not None]


@pytest.mark.parametrize("hash_bits", [64, 1])
def test_the_rows_of_any_kept_version_are_read_without_its_pipeline(tmp_path: Path, hash_bits: int) -> None:
    for number, ref in enumerate(history(tmp_path, hash_bits)):
        reader = StateReader(local(tmp_path), ref)
        assert (reader.batch_id, reader.fingerprint) == (number, MADE_BY)
        rows = pl.concat(reader.scan("t")).sort("k")
        expected = [
            ("all", number, None),
            *((f"k{each}", each, START.replace(minute=each)) for each in range(number + 1)),
        ]
        assert rows.rows() == expected
        assert rows.schema == pl.Schema(LAYOUT.columns)


def test_rows_are_looked_up_by_their_key(tmp_path: Path) -> None:
    reader = StateReader(local(tmp_path), history(tmp_path)[-1])
    assert reader.lookup("t", pl.DataFrame({"k": ["k1", "none"]})).rows() == [("k1", 1, START.replace(minute=1))]


def test_a_version_tells_its_tables(tmp_path: Path) -> None:
    ref = history(tmp_path)[-1]
    assert StateReader(local(tmp_path), ref).tables == {"t": TableFacts(LAYOUT, 4, ref.size_bytes, 1, at_us(0))}


def test_a_table_that_is_not_there_is_refused_with_those_that_are(tmp_path: Path) -> None:
    reader = StateReader(local(tmp_path), history(tmp_path)[-1])
    with pytest.raises(StateError, match="there is no table u") as caught:
        reader.scan("u")
    assert caught.value.hint == "its tables are: t"


def test_a_version_that_was_collected_is_refused(tmp_path: Path) -> None:
    ref = history(tmp_path)[0]
    (tmp_path / ref.file).unlink()
    with pytest.raises(StateError, match=r"0000000000-a\.json: is missing"):
        StateReader(local(tmp_path), ref)
