"""``stateful``: a function over key groups, and what becomes of its state."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from etl.state.plain import PlainTable
from tests.stepping import Clock, walk
from tests.unit.transforms.keyed import SUMS, TIMED, rows, step_in


def state_of(walked: Any, batch: int = -1) -> list[tuple[Any, ...]]:
    """Return the state after a batch, sorted."""
    (frame,) = walked.states[batch][0]["state"].scan()
    assert frame["_due_at"].is_null().all()
    return sorted(frame.drop("_due_at").rows(), key=repr)


def test_stateful_hands_in_the_state_that_the_last_batch_returned(tmp_path: Path) -> None:
    walked = walk([step_in(tmp_path, SUMS)], [rows(("a", 0, 1), ("b", 0, 5)), rows(("a", 1, 2), ("a", 2, 3)), rows()])

    assert [frame.sort("card", "id").rows() for frame in walked.emitted] == [
        [("a", 0, 1), ("b", 1, 5)],
        [("a", 0, 6), ("a", 1, 6)],
        [],
    ]
    assert state_of(walked) == [("a", 6), ("b", 5)]
    assert walked.counts == [
        {"read": 2, "folded": 2, "added": 2, "written": 2},
        {"read": 2, "folded": 2, "added": 2, "written": 2},
        {},
    ]


def test_stateful_takes_null_for_a_key_like_any_other(tmp_path: Path) -> None:
    walked = walk([step_in(tmp_path, SUMS)], [rows((None, 0, 1)), rows((None, 1, 2), ("a", 1, 1))])

    assert state_of(walked) == [("a", 1), (None, 3)]


def test_stateful_forgets_a_key_that_the_function_leaves_out(tmp_path: Path) -> None:
    body = """
        def f(rows, state, batch):
            total = rows.group_by("card").agg(total=pl.col("amount").sum())
            return rows.select("card"), total.filter(pl.col("total") > 0)
    """
    walked = walk([step_in(tmp_path, body)], [rows(("a", 0, 1), ("b", 0, 1)), rows(("a", 1, -1))])

    assert state_of(walked, 0) == [("a", 1), ("b", 1)]
    assert state_of(walked, 1) == [("b", 1)]


def test_stateful_gives_only_the_state_of_keys_that_occur(tmp_path: Path) -> None:
    body = """
        def f(rows, state, batch):
            seen = state.select("card", "total")
            return seen, rows.select("card", total="amount")
    """
    walked = walk([step_in(tmp_path, body)], [rows(("a", 0, 1), ("b", 0, 2)), rows(("b", 1, 7), ("c", 1, 8))])

    assert walked.emitted[1].rows() == [("b", 2)]
    assert state_of(walked) == [("a", 1), ("b", 7), ("c", 8)]


def test_stateful_sorts_rows_by_time_and_origin(tmp_path: Path) -> None:
    body = """
        def f(rows, state, batch):
            return rows.select("card", "id").with_row_index("place"), state
    """
    batch = rows(("a", 5, 0), ("a", 1, 1), ("a", 1, 2), ("b", 0, 3))
    walked = walk([step_in(tmp_path, body, TIMED)], [batch.sample(4, shuffle=True, seed=3)], Clock())

    assert walked.rows().select("place", "id").rows() == [(0, 3), (1, 1), (2, 2), (3, 0)]


def test_stateful_sorts_rows_without_an_origin_by_all_that_they_have(tmp_path: Path) -> None:
    body = """
        def f(rows, state, batch):
            return rows.select("card", "amount").with_row_index("place"), state
    """
    batch = rows(("a", 0, 3), ("a", 0, 1), ("a", 0, 2)).drop("_source_file", "_source_offset", "id")

    assert walk([step_in(tmp_path, body)], [batch]).rows()["amount"].to_list() == [1, 2, 3]


def test_stateful_tells_the_function_which_batch_it_is(tmp_path: Path) -> None:
    body = """
        def f(rows, state, batch):
            mark = pl.lit(batch.watermark, pl.Datetime("us", "UTC"))
            told = rows.select("card", id=pl.lit(batch.id), at=pl.lit(batch.at), mark=mark)
            return told, state
    """
    walked = walk([step_in(tmp_path, body, TIMED)], [rows(("a", 0, 1)), rows(("a", 9, 1))], Clock(delay_us=60_000_000))

    first, second = walked.emitted
    assert first.rows() == [
        ("a", 0, datetime(2024, 3, 5, tzinfo=UTC), datetime(2024, 3, 4, 23, 59, tzinfo=UTC)),
    ]
    assert second.rows() == [
        ("a", 1, datetime(2024, 3, 5, 0, 1, tzinfo=UTC), datetime(2024, 3, 5, 0, 8, tzinfo=UTC)),
    ]


def test_stateful_keeps_the_origin_of_rows_that_pass_through(tmp_path: Path) -> None:
    body = """
        def f(rows, state, batch):
            return rows.with_columns(is_large=pl.col("amount") > 3), state
    """
    given = rows(("a", 0, 5)).with_columns(
        _batch_id=pl.lit(0, pl.Int64), _source_row=pl.struct("card"), _ingested_at=datetime(2024, 3, 5, tzinfo=UTC)
    )
    walked = walk([step_in(tmp_path, body)], [given])

    assert walked.rows().columns == ["card", "at", "amount", "id", "_source_file", "_source_offset", "is_large"]


def test_stateful_sets_late_rows_aside_and_rows_without_a_time(tmp_path: Path) -> None:
    untimed = rows(("a", 0, 100)).with_columns(at=pl.lit(None, pl.Datetime("us")))
    batches = [rows(("a", 10, 1)), pl.concat([rows(("a", 10, 10), ("a", 11, 2)), untimed])]
    walked = walk([step_in(tmp_path, SUMS, TIMED)], batches, Clock())

    assert state_of(walked) == [("a", 3)]
    late = pl.concat(walked.late, how="diagonal").sort("amount")
    assert late.select("amount", "_watermark").rows() == [(10, datetime(2024, 3, 5, 0, 10, tzinfo=UTC)), (100, None)]
    assert walked.counts[1] == {"read": 3, "late": 2, "folded": 1, "added": 1, "written": 1}


def test_stateful_keeps_several_rows_of_state_per_key_in_their_order(tmp_path: Path) -> None:
    body = """
        def f(rows, state, batch):
            seen = pl.concat([state, rows.select("card", total="amount")])
            kept = seen.group_by("card", maintain_order=True).tail(2)
            return kept.group_by("card", maintain_order=True).agg("total"), kept
    """
    step = step_in(tmp_path, body, rows_per_key="many")
    walked = walk([step], [rows(("a", 0, 3), ("a", 0, 1), ("b", 0, 9)), rows(("a", 1, 2)), rows(("a", 2, 0))])

    assert [frame.sort("card").rows() for frame in walked.emitted] == [
        [("a", [3, 1]), ("b", [9])],
        [("a", [1, 2])],
        [("a", [2, 0])],
    ]
    assert state_of(walked) == [("a", 0, 2), ("a", 1, 0), ("b", 0, 9)]


def test_stateful_remembers_lists_of_structs(tmp_path: Path) -> None:
    body = """
        def f(rows, state, batch):
            new = rows.group_by("card").agg(last=pl.struct("at", "amount"))
            both = pl.concat([state, new]).explode("last").group_by("card", maintain_order=True).agg("last")
            return both.select("card", n=pl.col("last").list.len().cast(pl.Int64)), both
    """
    step = step_in(tmp_path, body, state_schema={"last": "list<struct{at: timestamp, amount: int64}>"})
    walked = walk([step], [rows(("a", 0, 3)), rows(("a", 1, 1), ("b", 1, 4))])

    assert walked.emitted[1].sort("card").rows() == [("a", 2), ("b", 1)]


def test_stateful_calls_the_function_once_for_each_key_where_asked_to(tmp_path: Path) -> None:
    body = """
        def f(rows, state, batch):
            total = state["total"].sum()
            out = []
            for amount in rows["amount"]:
                total += amount
                out.append(total)
            key = rows["card"].unique()
            assert len(key) <= 1
            found = rows.select("card", "id").with_columns(running=pl.Series(out, dtype=pl.Int64))
            return found, pl.DataFrame({"card": key, "total": [total] * len(key)})
    """
    step = step_in(tmp_path, body, per_key=True)
    walked = walk([step], [rows(("a", 0, 1), ("b", 0, 5), (None, 0, 7), ("a", 1, 2)), rows(("b", 2, 1), (None, 2, 1))])

    assert [frame.sort("id").rows() for frame in walked.emitted] == [
        [("a", 0, 1), ("b", 1, 5), (None, 2, 7), ("a", 3, 3)],
        [("b", 0, 6), (None, 1, 8)],
    ]


@pytest.mark.parametrize("value", [1, 2**40])
def test_stateful_takes_a_number_of_another_type_that_fits(tmp_path: Path, value: int) -> None:
    body = f"""
        def f(rows, state, batch):
            new = rows.select("card").unique()
            return new.with_columns(n=pl.lit(None)), new.with_columns(total=pl.lit({value}.0))
    """
    walked = walk([step_in(tmp_path, body, output={"card": "string", "n": "date"})], [rows(("a", 0, 1))])

    assert walked.rows().rows() == [("a", None)]
    assert state_of(walked) == [("a", value)]


def test_stateful_remembers_what_a_new_column_lacks_as_null(tmp_path: Path) -> None:
    step = step_in(tmp_path, SUMS, state_schema={"total": "int64"})

    assert step.fingerprint().kind == "stateful"
    assert step.fingerprint().fixed == {"keys": ["card"], "rows_per_key": "one"}
    assert step.fingerprint().parts == {"total": "int64"}
    timed = step_in(tmp_path, SUMS, TIMED, timeout="1h").fingerprint()
    assert timed.parts == {"total": "int64", "_due_at": "event_time"}


def test_stateful_says_how_its_state_is_laid_out(tmp_path: Path) -> None:
    given = rows().schema
    plain = step_in(tmp_path, SUMS).layouts(given)["state"]
    timed = step_in(tmp_path, SUMS, TIMED, timeout="2h", rows_per_key="many").layouts(given)["state"]

    due = {"_due_at": pl.Datetime("us", "UTC")}
    assert plain.columns == {"card": pl.String(), "total": pl.Int64(), **due}
    assert (plain.expires, plain.bucket_us) == ("_due_at", 1_000_000)
    assert timed.columns == {"card": pl.String(), "_row": pl.Int64(), "total": pl.Int64(), **due}
    assert (timed.expires, timed.bucket_us) == ("_due_at", 300_000_000)


def test_stateful_reads_no_state_for_a_batch_without_rows(tmp_path: Path) -> None:
    step = step_in(tmp_path, "def f(rows, state, batch):\n    return rows.select('card'), state")
    walked = walk([step], [rows(), rows()])

    assert walked.counts == [{}, {}]
    assert isinstance(walked.states[-1][0]["state"], PlainTable)
