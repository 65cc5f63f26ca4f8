"""The recovery table, written out: every situation that a start can find, and what follows from it."""

from __future__ import annotations

import itertools

import pytest

from etl.checkpoint.recovery import Found, Step, next_step
from etl.errors import CheckpointError, TableStateError

STAGED, WHOLE = True, True
BARE, LOST = False, False

TABLE = [
    # planned, committed, table, is_staged, is_whole
    ("nothing was ever done", Found(-1, -1, -1), Step.PLAN),
    ("first plan, no manifest", Found(0, -1, -1, BARE), Step.STAGE),
    ("first plan staged", Found(0, -1, -1, STAGED, WHOLE), Step.COMMIT),
    ("first plan staged, a file lost", Found(0, -1, -1, STAGED, LOST), Step.RESTAGE),
    ("first batch in the table, no entry", Found(0, -1, 0, STAGED, WHOLE), Step.RECORD),
    ("first batch in the table, its files compacted away since", Found(0, -1, 0, STAGED, LOST), Step.RECORD),
    ("first batch done", Found(0, 0, 0, STAGED), Step.PLAN),
    ("later plan, no manifest", Found(5, 4, 4, BARE), Step.STAGE),
    ("later plan staged", Found(5, 4, 4, STAGED, WHOLE), Step.COMMIT),
    ("later plan staged, a file lost", Found(5, 4, 4, STAGED, LOST), Step.RESTAGE),
    ("later batch in the table, no entry", Found(5, 4, 5, STAGED, WHOLE), Step.RECORD),
    ("later batch done", Found(5, 5, 5, STAGED), Step.PLAN),
    ("later batch done, manifest cleaned away", Found(5, 5, 5, BARE), Step.PLAN),
]

REFUSED = [
    ("table_ahead", Found(-1, -1, 0), "the table holds batch 0 of this pipeline, the checkpoint knows none"),
    ("table_ahead", Found(3, 3, 4), "the table holds batch 4 of this pipeline, the checkpoint knows batches up to 3"),
    ("table_ahead", Found(4, 3, 5, STAGED), "the checkpoint knows batches up to 4"),
    ("table_behind", Found(0, 0, -1), "the checkpoint says that batch 0 is committed, the table holds none"),
    ("table_behind", Found(3, 3, 2), "batch 3 is committed, the table holds batches up to 2"),
    ("table_behind", Found(4, 3, 2, STAGED), "batch 3 is committed, the table holds batches up to 2"),
]

CONTRADICTIONS = [
    (Found(4, 2, 2), "the newest plan is of batch 4, the newest commit entry of batch 2"),
    (Found(1, -1, -1), "the newest plan is of batch 1, the newest commit entry of batch -1"),
    (Found(2, 3, 3), "the newest plan is of batch 2, the newest commit entry of batch 3"),
    (Found(-1, 0, 0), "the newest plan is of batch -1, the newest commit entry of batch 0"),
    (Found(5, 4, 5, BARE), "the table holds batch 5, but its manifest is lost"),
]


@pytest.mark.parametrize(("found", "step"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
def test_a_start_goes_on_with_the_step_of_the_table(found: Found, step: Step) -> None:
    assert next_step(found, pipeline="p", table="t") is step


@pytest.mark.parametrize(("kind", "found", "message"), REFUSED)
def test_a_start_refuses_when_checkpoint_and_table_disagree(kind: str, found: Found, message: str) -> None:
    with pytest.raises(TableStateError) as caught:
        next_step(found, pipeline="orders", table="silver.orders")
    assert caught.value.kind == kind
    assert message in caught.value.message
    assert "etl run orders --full-refresh" in caught.value.hint
    assert caught.value.where == "orders: silver.orders"


@pytest.mark.parametrize(("found", "message"), CONTRADICTIONS)
def test_a_start_refuses_when_the_logs_contradict_one_another(found: Found, message: str) -> None:
    with pytest.raises(CheckpointError, match=message) as caught:
        next_step(found, pipeline="orders", table="silver.orders")
    assert "etl checkpoint rebuild orders" in caught.value.hint


def test_no_situation_is_answered_by_a_step_that_loses_or_doubles_a_batch() -> None:
    span = range(-1, 4)
    for planned, committed, table, staged, whole in itertools.product(span, span, span, (False, True), (False, True)):
        try:
            step = next_step(Found(planned, committed, table, staged, whole), pipeline="p", table="t")
        except (CheckpointError, TableStateError):
            continue
        if step is Step.PLAN:
            assert planned == committed == table
        elif step is Step.RECORD:
            assert planned == table == committed + 1
        else:
            assert planned == committed + 1
            assert table == committed
            assert staged is (step is not Step.STAGE)
