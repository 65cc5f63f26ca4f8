from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from etl.balance import Tally, check_balance
from etl.errors import ConfigError
from etl.model import SYSTEM_COLUMNS, BatchPlan
from etl.transforms import TRANSFORMS
from etl.transforms.contract import Pinned, TransformSite
from tests.stepping import Clock, walk

PLAN = BatchPlan(0, datetime(2024, 3, 5, tzinfo=UTC), {}, {}, "definition")

SCHEMA = pl.Schema(
    {
        "_source_file": pl.String(),
        "id": pl.Int64(),
        "name": pl.String(),
        "tags": pl.List(pl.String()),
        "place": pl.Struct({"city": pl.String(), "zip": pl.Int64()}),
        "jan": pl.Float64(),
        "feb": pl.Float64(),
        "on": pl.Date(),
        "_batch_id": pl.Int64(),
    }
)

CASES: dict[str, list[Any]] = {
    "filter": ["id > 2", ["id > 2", "name <> 'b'"]],
    "select": [["name", "id"], {"twice": "id * 2", "one": "1"}],
    "with_columns": [{"twice": "id * 2", "name": "UPPER(name)"}],
    "rename": [{"id": "name", "name": "id"}],
    "drop": [["name", "place"]],
    "cast": [{"id": "int32", "jan": "float32"}],
    "fill_null": [0, {"name": "nobody"}],
    "explode": [["tags"]],
    "unnest": [["place"]],
    "unpivot": [{"on": ["jan", "feb"], "index": ["id"]}, {"on": ["jan", "feb"], "variable_name": "month"}],
    "parse": [
        {"column": "name", "format": {"regex": "(?P<letter>[ab])"}},
        {"column": "name", "format": "lines", "keep": False, "otherwise": "null"},
    ],
    "sql": ["SELECT * EXCLUDE (tags), id + 1 AS next FROM input WHERE id > 2 OR name IS NULL"],
    "watermark": [{"column": "on", "delay": "1d"}],
    "join": [
        {"path": "names.ndjson", "on": "name"},
        {"path": "names.ndjson", "on": {"name": "name"}, "how": "inner", "columns": {"rank": "of"}},
        {"path": "names.ndjson", "on": "name", "how": "semi"},
        {"path": "names.ndjson", "on": ["name"], "how": "anti"},
        {"path": "names.ndjson", "on": "name", "how": "asof", "asof": {"column": "id", "other": "rank"}},
    ],
    "python": ["shop:cheap", "shop.deep.nested:twice"],
    "map_batches": ["shop:first", {"function": "shop:Scorer", "max_rows": 1000}],
}
EVERY = [(key, value) for key, values in CASES.items() for value in values]
every_transform = pytest.mark.parametrize(("key", "value"), EVERY, ids=[f"{key}-{value}" for key, value in EVERY])

MOMENT = pl.Datetime("us", "UTC")
EVENT = pl.Schema({"_source_file": pl.String(), "_source_offset": pl.Int64(), "id": pl.Int64(), "at": MOMENT})
OTHER = pl.Schema({"id": pl.Int64(), "paid_at": MOMENT})
STATEFUL: dict[str, list[Any]] = {
    "group_by": [
        {"by": ["id"], "aggregate": {"n": "COUNT(*)"}},
        {"by": [], "window": {"column": "at", "every": "5m"}, "aggregate": {"n": "COUNT(*)", "last": "LAST(id)"}},
        {"by": ["id"], "window": {"column": "at", "session_gap": "5m"}, "aggregate": {"n": "COUNT(DISTINCT id)"}},
    ],
    "deduplicate": [{"keys": ["id"]}, {"keys": ["id"], "keep": "last"}, {"keys": ["id"], "within": "1m"}],
    "join_stream": [
        {"with": "other", "on": ["id"], "how": how, "within": {"column": "at", "other": "paid_at", "after": "5m"}}
        for how in ("inner", "left", "full", "semi")
    ],
    "stateful": [
        {"python": "counting:seen", "keys": ["id"], "state_schema": {"n": "int64"}, **more}
        for more in (
            {"timeout": "5m"},
            {"timeout": "2m", "timeout_by": "processing_time", "rows_per_key": "many"},
            {"per_key": True, "output": {"n": "int64", "id": "int64"}},
        )
    ],
}
SAMPLES = Path(__file__).parents[1] / "samples"
EVERY_STATEFUL = [(key, value) for key, values in STATEFUL.items() for value in values]

ROW = st.fixed_dictionaries(
    {
        "_source_file": st.just("a.jsonl"),
        "id": st.none() | st.integers(-5, 5),
        "name": st.none() | st.sampled_from(["a", "b", ""]),
        "tags": st.none() | st.lists(st.none() | st.sampled_from(["x", "y"]), max_size=3),
        "place": st.none() | st.fixed_dictionaries({"city": st.just("Berlin"), "zip": st.none() | st.integers(0, 9)}),
        "jan": st.none() | st.sampled_from([0.5, 1.0]),
        "feb": st.none() | st.sampled_from([0.25, 2.0]),
        "on": st.none() | st.dates(date(2024, 1, 1), date(2024, 12, 31)),
        "_batch_id": st.just(7),
    }
)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("project")
    nested = folder / "transforms" / "shop" / "deep"
    nested.mkdir(parents=True)
    (folder / "transforms" / "shop.py").write_text(
        "import polars as pl\n\ndef cheap(rows):\n    return rows.filter(pl.col('id') < 3)\n"
        "def first(frame):\n    return frame.filter(pl.col('id') > 0).with_columns(n=pl.col('id') * 2)\n"
        "class Scorer:\n    def __call__(self, frame):\n        return frame.with_columns(score=pl.col('id') / 2)\n"
    )
    names = [{"name": "a", "rank": 0}, {"name": "a", "rank": 3}, {"name": "", "rank": -1}, {"name": None, "rank": 5}]
    (folder / "names.ndjson").write_text("".join(json.dumps(row) + "\n" for row in names))
    (nested / "nested.py").write_text(
        "import polars as pl\n\ndef twice(rows):\n    return rows.with_columns('id', n=pl.lit([1, 2])).explode('n')\n"
    )
    return folder


def made(key: str, value: object, folder: Path) -> Any:
    kind = TRANSFORMS[key]
    return kind(kind.options_model.model_validate(value), TransformSite(folder, 0))


def plan_for(step: Any) -> BatchPlan:
    return replace(PLAN, pins={step.pin_id: step.pin()}) if isinstance(step, Pinned) else PLAN


def passed(step: Any, frame: pl.DataFrame) -> tuple[pl.DataFrame, dict[str, int]]:
    tally = Tally()
    tally.add("read", frame.height)
    rows = step.apply(frame.lazy(), plan_for(step), tally).collect()
    tally.add("written", rows.height)
    return rows, tally.counts()


def multiset(*frames: pl.DataFrame) -> Counter[str]:
    return Counter(str(row) for frame in frames for row in frame.rows())


def test_every_transform_is_under_contract() -> None:
    stateful = {key for key, kind in TRANSFORMS.items() if getattr(kind, "is_stateful", False)}
    combining = {key for key, kind in TRANSFORMS.items() if hasattr(kind, "combine")}
    assert CASES.keys() | stateful | combining == TRANSFORMS.keys()
    assert stateful == STATEFUL.keys()
    assert combining == {"union"}
    assert {key: kind.label for key, kind in TRANSFORMS.items()} == {key: key for key in TRANSFORMS}


@every_transform
def test_the_columns_are_those_announced_before_a_row_moves(key: str, value: object, project: Path) -> None:
    step = made(key, value, project)

    rows, _ = passed(step, pl.DataFrame(schema=SCHEMA))

    assert rows.schema == step.output_schema(SCHEMA)
    assert rows.height == 0


@every_transform
def test_system_columns_survive(key: str, value: object, project: Path) -> None:
    announced = made(key, value, project).output_schema(SCHEMA)

    assert {name: announced[name] for name in announced if name in SYSTEM_COLUMNS} == {
        "_source_file": pl.String(),
        "_batch_id": pl.Int64(),
    }


@every_transform
@settings(max_examples=8, deadline=None)
@given(rows=st.lists(ROW, max_size=8), cut=st.integers(0, 8))
def test_any_split_gives_the_same_rows_and_counts_and_balances(
    key: str, value: object, project: Path, rows: list[dict[str, Any]], cut: int
) -> None:
    step = made(key, value, project)
    frame = pl.DataFrame(rows, schema=SCHEMA)

    whole, counts = passed(step, frame)
    head, counts_of_head = passed(step, frame.head(cut))
    tail, counts_of_tail = passed(step, frame.slice(cut))

    assert multiset(whole) == multiset(head, tail)
    assert counts == {fate: counts_of_head[fate] + counts_of_tail[fate] for fate in counts}
    assert min(counts.values()) >= 0
    check_balance(counts, where=key)


@every_transform
def test_the_counts_are_right_when_rows_stream_in_many_pieces(
    key: str, value: object, project: Path, tmp_path: Path
) -> None:
    row = {"id": 1, "name": "a", "tags": ["x", "y"], "place": {"city": "Berlin", "zip": 1}, "jan": 0.5, "feb": None}
    pieces = 300_000
    frame = pl.DataFrame([row | {"_source_file": "f", "_batch_id": 0}], schema=SCHEMA)
    frame.select(pl.all().repeat_by(pieces).explode()).write_parquet(tmp_path / "in.parquet", row_group_size=40_000)
    tally = Tally()
    tally.add("read", pieces)

    step = made(key, value, project)

    step.apply(pl.scan_parquet(tmp_path / "in.parquet"), plan_for(step), tally).sink_parquet(tmp_path / "out.parquet")

    tally.add("written", pl.scan_parquet(tmp_path / "out.parquet").select(pl.len()).collect().item())
    check_balance(tally.counts(), where=key)


@pytest.mark.parametrize(("key", "value"), [case for case in EVERY if case[1] != 0])
def test_a_missing_column_is_refused_at_its_place(key: str, value: object, project: Path) -> None:
    step = made(key, value, project)

    with pytest.raises(ConfigError) as caught:
        step.output_schema(pl.Schema({"other": pl.Int64()}))

    assert caught.value.where == f"transforms[0].{key}"
    assert caught.value.hint


EVENTS = st.lists(st.tuples(st.none() | st.integers(0, 2), st.none() | st.integers(0, 30)), max_size=8)


def events(rows: list[tuple[int | None, int | None]], schema: pl.Schema) -> pl.DataFrame:
    values = [(key, None if minute is None else datetime(2024, 3, 5, 10, minute, tzinfo=UTC)) for key, minute in rows]
    frame = pl.DataFrame(values, schema=list(schema.items())[-2:], orient="row")
    origin = [pl.lit("a.jsonl").alias("_source_file"), pl.int_range(pl.len()).alias("_source_offset")]
    return frame.with_columns(origin).select(list(schema))


@pytest.mark.parametrize(("key", "value"), EVERY_STATEFUL, ids=[f"{key}-{value}" for key, value in EVERY_STATEFUL])
@settings(max_examples=12, deadline=None)
@given(batches=st.lists(st.tuples(EVENTS, EVENTS), min_size=1, max_size=3))
def test_a_stateful_transform_balances_repeats_itself_and_keeps_to_its_layouts(
    key: str, value: object, batches: list[tuple[Any, Any]]
) -> None:
    """The checks are those of ``walk``, at every batch."""
    kind = TRANSFORMS[key]
    site = TransformSite(SAMPLES, 0, has_watermark=True, time_column="at")
    step = kind(kind.options_model.model_validate(value), site)
    inputs: list[Any] = [(events(first, EVENT), events(second, OTHER)) for first, second in batches]
    clock = Clock(("at", "paid_at") if step.inputs else ("at",), 60_000_000)

    walked = walk([step], inputs if step.inputs else [first for first, _ in inputs], clock)

    late = sum(frame.height for frame in walked.late)
    assert sum(counts.get("late", 0) for counts in walked.counts) == late
    assert json.loads(json.dumps([step.fingerprint().fixed, step.fingerprint().parts])) is not None
    assert "_source_file" not in walked.rows().columns or key in ("deduplicate", "join_stream")
