"""What a table must be for a batch of ours."""

from __future__ import annotations

import pytest

from etl.errors import FencedError, SinkError, TableStateError
from etl.sinks.delta_actions import SUPERSEDED
from etl.sinks.delta_checks import (
    refuse_other_checkpoint,
    refuse_other_partitions,
    refuse_partition_types,
    refuse_superseded,
)
from etl.sinks.delta_log import Head

REFRESH = "etl run orders --full-refresh"


def head(batch_id: int | None, claimed: int | None = None, partitions: tuple[str, ...] = ()) -> Head:
    metadata = {"schemaString": '{"fields": []}', "partitionColumns": list(partitions)}
    return Head(3, "t", metadata, {}, batch_id, 3, claimed)


@pytest.mark.parametrize("found", [None, head(None), head(7, 7)])
def test_a_table_that_no_refresh_made_anew_passes(found: Head | None) -> None:
    refuse_superseded(found, "silver.t", REFRESH)


def test_a_checkpoint_whose_batches_a_refresh_replaced_is_refused_with_the_way_out() -> None:
    with pytest.raises(TableStateError) as caught:
        refuse_superseded(head(SUPERSEDED), "silver.t", REFRESH)
    assert (caught.value.kind, caught.value.where) == ("table_ahead", "silver.t")
    assert caught.value.hint == f"restore the newer checkpoint folder, or build the table anew: {REFRESH}"


@pytest.mark.parametrize(
    ("found", "is_refresh"), [(head(None), False), (head(3, 3), False), (head(None, 3), True), (head(3, 9), True)]
)
def test_a_batch_goes_beside_those_of_its_own_checkpoint(found: Head, *, is_refresh: bool) -> None:
    refuse_other_checkpoint(found, "silver.t", is_refresh=is_refresh)


def test_a_batch_does_not_go_beside_those_of_another_checkpoint() -> None:
    with pytest.raises(TableStateError, match="table_ahead: another checkpoint of this pipeline has written"):
        refuse_other_checkpoint(head(None, 3), "silver.t", is_refresh=False)
    for is_refresh in (False, True):
        with pytest.raises(FencedError, match="a full refresh took the place"):
            refuse_other_checkpoint(head(SUPERSEDED, 3), "silver.t", is_refresh=is_refresh)


def test_partitions_are_compared_in_their_order() -> None:
    refuse_other_partitions(head(0, None, ("a", "b")), ["a", "b"], "silver.t", REFRESH)
    with pytest.raises(SinkError, match=r"partitioned by \['a', 'b'\], the pipeline says \['b', 'a'\]") as caught:
        refuse_other_partitions(head(0, None, ("a", "b")), ["b", "a"], "silver.t", REFRESH)
    assert REFRESH in caught.value.hint


@pytest.mark.parametrize("word", ["string", "byte", "short", "integer", "long", "boolean", "date"])
def test_values_that_text_tells_are_partitions(word: str) -> None:
    refuse_partition_types([{"name": "x", "type": word}], ["x"], "silver.t")


@pytest.mark.parametrize("word", ["double", "float", "timestamp", "timestamp_ntz", "binary", "decimal(5,2)"])
def test_values_that_text_does_not_tell_are_no_partitions(word: str) -> None:
    with pytest.raises(SinkError, match="cannot be partitioned by a column of type") as caught:
        refuse_partition_types([{"name": "x", "type": word}], ["x"], "silver.t")
    assert caught.value.where == "silver.t.x"


def test_a_partition_column_that_is_not_there_is_refused() -> None:
    with pytest.raises(SinkError, match="of type unknown"):
        refuse_partition_types([], ["x"], "silver.t")
