"""One attempt at a batch: what its manifest says, and when it is tried again or refused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from etl.balance import Tally
from etl.errors import BalanceError, ConfigError, SchemaDriftError, SinkError, TransformError
from etl.flow import Flow
from etl.flow_schema import check_flow, source_frame
from etl.intake import first_rows
from etl.model import SYSTEM_COLUMNS, BatchPlan, PlannedInput, ReadLimit, Schema, StagedFile
from etl.schema_contract import Survey
from etl.sources.contract import Reading
from etl.staging import stage_batch
from etl.testing import MemorySink, MemorySource
from etl.transforms.contract import TransformSite
from etl.transforms.project import WithColumns, WithColumnsOptions

BATCH_AT = datetime(2026, 1, 1, 12, 30, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Drop:
    """A transform that drops rows, counted or not."""

    is_counted: bool = True
    label: str = "drop"
    seen: list[pl.Schema] = field(default_factory=list)

    def output_schema(self, given: pl.Schema) -> pl.Schema:
        self.seen.append(given)
        if "id" not in given:
            raise ConfigError("there is no column id", hint="name another")
        return pl.Schema(dict(given) | {"made": pl.Int8()})

    def apply(self, rows: pl.LazyFrame, plan: BatchPlan, tally: Tally) -> pl.LazyFrame:
        if self.is_counted:
            tally.add("filtered", 1)
        return rows.filter(pl.col("id") > 1)


class Stubborn(MemorySource):
    """A source whose drift no schema mends."""

    def read(self, planned: PlannedInput, known: Survey, system: tuple[str, ...], tally: Tally) -> Reading:
        raise SchemaDriftError("columns are never enough", where="memory")


def flow_of(source: MemorySource, transforms: Sequence[Any] = (), system: tuple[str, ...] = ()) -> Flow:
    return Flow("orders", "source", source, transforms, MemorySink("t"), system)


def source_of(*units: list[dict[str, Any]], kind: type[MemorySource] = MemorySource) -> MemorySource:
    source = kind()
    for unit in units:
        source.add(unit)
    return source


def plan_of(source: MemorySource, schema: Schema | None = None) -> BatchPlan:
    planned = source.latest(None, ReadLimit())
    assert planned is not None
    return BatchPlan(4, BATCH_AT, {"source": planned}, {"source": schema}, "d1", watermark="2024-03-05T00:00:00+00:00")


def attempts() -> Any:
    return iter("abc").__next__


def test_manifest_says_what_the_attempt_came_to() -> None:
    source = source_of([{"id": 1}, {"id": 2}])
    staged = stage_batch(flow_of(source, [Drop()]), plan_of(source), attempts())
    manifest = staged.manifest
    assert not staged.was_retried
    assert (manifest.batch_id, manifest.attempt, manifest.watermark) == (4, "a", "2024-03-05T00:00:00+00:00")
    assert manifest.rows == Tally().counts() | {"read": 2, "written": 1, "filtered": 1}
    assert manifest.source_schemas == {"source": {"id": "int64"}}
    assert manifest.table_schemas == {"main": {"id": "int64"}}
    assert [file.rows for file in manifest.tables["main"]] == [1]


def test_planned_schema_is_read_with_rather_than_an_inferred_one() -> None:
    source = source_of([{"id": 1}])
    manifest = stage_batch(flow_of(source), plan_of(source, {"id": "int64", "gone": "string"}), attempts()).manifest
    assert manifest.source_schemas == {"source": {"id": "int64", "gone": "string"}}


def test_new_columns_widen_the_schema_over_the_whole_batch_which_is_read_again_under_another_attempt() -> None:
    source = source_of([{"id": 1}], [{"id": 2, "x": "a"}], [{"y": 1.5, "id": 3}])
    staged = stage_batch(flow_of(source), plan_of(source, {"id": "int64"}), attempts())
    assert staged.was_retried
    assert staged.manifest.attempt == "b"
    assert staged.manifest.source_schemas == {"source": {"id": "int64", "x": "string", "y": "float64"}}
    assert staged.manifest.rows["read"] == staged.manifest.rows["written"] == 3


def test_drift_that_widening_does_not_mend_is_an_error() -> None:
    source = source_of([{"id": 1}], kind=Stubborn)
    with pytest.raises(SchemaDriftError, match="columns are never enough"):
        stage_batch(flow_of(source), plan_of(source), attempts())


def test_batch_that_loses_rows_without_counting_them_is_refused() -> None:
    source = source_of([{"id": 1}, {"id": 2}])
    with pytest.raises(BalanceError, match="2 rows arrived, 1 left") as caught:
        stage_batch(flow_of(source, [Drop(is_counted=False)]), plan_of(source), attempts())
    assert caught.value.where == "orders, batch 4"


def test_panic_in_rust_is_an_error_of_the_transform_it_comes_from() -> None:
    source = source_of([{"id": 2_000_000_000}])
    options = WithColumnsOptions({"day": "CAST(CAST(id AS DATE) AS VARCHAR)"})
    flow = flow_of(source, [WithColumns(options, TransformSite(Path(), 0))])

    with pytest.raises(TransformError, match="Polars broke off: out-of-range date") as caught:
        stage_batch(flow, plan_of(source), attempts())

    assert caught.value.where == "transforms[0].with_columns"
    assert isinstance(caught.value.__cause__, pl.exceptions.PanicException)


def test_panic_in_rust_that_no_transform_causes_is_an_error_of_the_sink() -> None:
    class Panicking(MemorySink):
        def stage(self, *_: object) -> tuple[StagedFile, ...]:
            pl.Series([2_000_000_000], dtype=pl.Int32).cast(pl.Date).cast(pl.String)
            return ()

    source = source_of([{"id": 1}])
    flow = Flow("orders", "source", source, [], Panicking("t"), ())

    with pytest.raises(SinkError, match="t: Polars broke off: out-of-range date"):
        stage_batch(flow, plan_of(source), attempts())


def test_interruption_of_a_batch_goes_through() -> None:
    class Interrupted(MemorySink):
        def stage(self, *_: object) -> tuple[StagedFile, ...]:
            raise KeyboardInterrupt

    source = source_of([{"id": 1}])

    with pytest.raises(KeyboardInterrupt):
        stage_batch(Flow("orders", "source", source, [], Interrupted("t"), ()), plan_of(source), attempts())


def test_system_columns_carry_the_batch_and_its_fixed_time() -> None:
    source = source_of([{"id": 1}])
    flow, plan = flow_of(source, system=SYSTEM_COLUMNS), plan_of(source)
    rows = first_rows(flow, plan, {"source": Survey({"id": "int64"})}).collect()
    assert rows.row(0, named=True) == {
        "id": 1, "_source_file": "memory:0", "_source_offset": 0, "_source_modified_at": None,
        "_batch_id": 4, "_ingested_at": BATCH_AT,
    }  # fmt: skip
    assert source_frame(flow, {"id": "int64"}) == rows.schema


def test_only_the_system_columns_that_are_asked_for_are_there() -> None:
    source = source_of([{"id": 1}])
    flow, plan = flow_of(source, system=("_batch_id",)), plan_of(source)
    assert first_rows(flow, plan, {"source": Survey({"id": "int64"})}).collect().columns == [
        "id",
        "_batch_id",
    ]


def test_columns_of_unknown_type_reach_no_transform_while_plans_are_checked() -> None:
    frame = source_frame(flow_of(source_of()), {"id": "int64", "later": "null"})
    assert frame == pl.Schema({"id": pl.Int64})


def test_checking_hands_the_columns_from_step_to_step() -> None:
    one, two = Drop(), Drop()
    assert check_flow(flow_of(source_of(), [one, two]), {"source": {"id": "int64"}}) == pl.Schema(
        {"id": pl.Int64, "made": pl.Int8}
    )
    assert one.seen == [pl.Schema({"id": pl.Int64})]
    assert two.seen == [pl.Schema({"id": pl.Int64, "made": pl.Int8})]


def test_checking_names_the_place_of_the_step_that_does_not_fit() -> None:
    class Forget(Drop):
        def output_schema(self, given: pl.Schema) -> pl.Schema:
            return pl.Schema({})

    with pytest.raises(ConfigError, match="there is no column id") as caught:
        check_flow(flow_of(source_of(), [Forget(), Drop()]), {"source": {"id": "int64"}})
    assert (caught.value.where, caught.value.hint) == ("transforms[1].drop", "name another")


def test_batch_without_rows_has_nothing_of_a_table_that_holds_batches_already() -> None:
    source = source_of([{"id": 2}], [{"id": 0}])
    flow = flow_of(source, [Drop()])
    flow.sink.bind("here")
    first = stage_batch(flow, replace(plan_of(source), batch_id=0), attempts()).manifest
    flow.sink.commit(first, {})
    planned = source.latest({"units": 1}, ReadLimit())
    assert planned is not None
    plan = BatchPlan(1, BATCH_AT, {"source": planned}, {"source": {"id": "int64"}}, "d1")
    manifest = stage_batch(flow, plan, attempts()).manifest
    assert (dict(first.table_schemas), dict(manifest.tables), dict(manifest.table_schemas)) == (
        {"main": {"id": "int64"}},
        {},
        {},
    )
    assert (manifest.rows["read"], manifest.rows["filtered"], manifest.rows["written"]) == (1, 1, 0)
