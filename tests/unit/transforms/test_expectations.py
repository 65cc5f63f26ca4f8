"""What every row must satisfy, what becomes of one that does not, and how it is kept."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from etl.balance import Tally
from etl.errors import ConfigError, QuarantineError, TransformError
from etl.flow import Flow
from etl.flow_schema import check_flow
from etl.intake import first_rows
from etl.model import BatchPlan, ReadLimit
from etl.rejects import rejects
from etl.schema_contract import Survey
from etl.sinks.quarantine import Quarantine
from etl.staging import stage_batch
from etl.testing import ManualClock, MemorySink, MemorySource
from etl.transforms import TRANSFORMS
from etl.transforms.contract import TransformSite
from etl.transforms.expectations import ExpectationOptions, Expectations

if TYPE_CHECKING:
    import polars as pl

SYSTEM = ("_source_file", "_source_offset", "_batch_id")
ROWS: list[dict[str, Any]] = [
    {"id": 1, "amount": 1.5, "kind": "a"},
    {"id": 2, "amount": -1.0, "kind": "a"},
    {"id": 3, "amount": None, "kind": "b"},
    {"id": 4, "amount": -2.0, "kind": "z"},
]


def rule(name: str, check: str, **more: Any) -> ExpectationOptions:
    return ExpectationOptions(name=name, check=check, **more)


def source_of(*units: list[dict[str, Any]]) -> MemorySource:
    source = MemorySource()
    for unit in units or (ROWS,):
        source.add(unit)
    return source


def flow_of(source: MemorySource, *expected: ExpectationOptions, transforms: Any = ()) -> Flow:
    return Flow("orders", "source", source, transforms, MemorySink(), SYSTEM, Expectations(expected))


def passed(source: MemorySource, *expected: ExpectationOptions, transforms: Any = ()) -> tuple[pl.DataFrame, Tally]:
    """Send everything through; return the rows that go on, and the tally."""
    flow, tally = flow_of(source, *expected, transforms=transforms), Tally()
    planned = source.latest(None, ReadLimit())
    assert planned is not None
    known = source.survey(planned, None, ManualClock().now())
    plan = BatchPlan(7, ManualClock().now(), {"source": planned}, {"source": None}, "d")
    rows = first_rows(flow, plan, {"source": known}, tally)
    return rows.collect(engine="streaming"), tally


def ids(frame: pl.DataFrame) -> list[int]:
    return sorted(frame["id"].to_list())


def fates(tally: Tally) -> dict[str, int]:
    return {fate: rows for fate, rows in tally.counts().items() if rows}


PAID = "amount >= 0"


@pytest.mark.parametrize(
    ("otherwise", "kept", "counts"),
    [
        ("warn", [1, 2, 3, 4], {"read": 4}),
        ("drop", [1], {"read": 4, "filtered": 3}),
        ("quarantine", [1], {"read": 4, "quarantined": 3}),
    ],
)
def test_rows_that_fail_are_kept_dropped_or_set_aside_and_null_is_no_success(
    otherwise: str, kept: list[int], counts: dict[str, int]
) -> None:
    frame, tally = passed(source_of(), rule("paid", PAID, otherwise=otherwise))
    assert ids(frame) == kept
    assert frame.columns == ["id", "amount", "kind", *SYSTEM]
    assert fates(tally) == counts
    assert (tally.asked, tally.failed()) == (4, {"paid": 3})
    assert tally.rejected.take().height == counts.get("quarantined", 0)


def test_a_row_that_must_not_fail_fails_the_batch_and_is_named_with_its_place() -> None:
    with pytest.raises(TransformError) as caught:
        staged(rule("paid", PAID, otherwise="fail"))
    assert caught.value.message == (
        "paid: a row does not satisfy amount >= 0: id 2, amount -1.0, kind 'a' (memory:0:1)"
    )
    assert caught.value.where == "expect[0]"
    assert caught.value.hint == "mend the rows, or say otherwise: quarantine"


def test_rows_that_all_satisfy_pass_untouched() -> None:
    frame, tally = passed(source_of(), rule("any", "id > 0", otherwise="fail"), rule("some", "kind <> 'q'"))
    assert ids(frame) == [1, 2, 3, 4]
    assert tally.failed() == {"any": 0, "some": 0}
    assert fates(tally) == {"read": 4}


def test_a_row_that_fails_several_is_set_aside_once_under_the_first_with_every_reason() -> None:
    frame, tally = passed(
        source_of(),
        rule("noted", "id <> 4", otherwise="warn"),
        rule("known", "kind <> 'z'"),
        rule("small", "id < 2", otherwise="drop"),
        rule("paid", PAID),
    )
    assert ids(frame) == [1]
    rejected = tally.rejected.take().sort("_source_offset")
    assert rejected.select("_source_offset", "rule", "reason").rows() == [
        (1, "paid", "paid: amount >= 0"),
        (2, "paid", "paid: amount >= 0"),
        (3, "known", "known: kind <> 'z'; paid: amount >= 0"),
    ]
    assert tally.failed() == {"noted": 1, "known": 1, "small": 3, "paid": 3}
    assert fates(tally) == {"read": 4, "quarantined": 3}


def test_a_row_that_fails_only_checks_that_drop_is_dropped() -> None:
    frame, tally = passed(source_of(), rule("known", "kind <> 'z'"), rule("paid", PAID, otherwise="drop"))
    assert ids(frame) == [1]
    assert fates(tally) == {"read": 4, "filtered": 2, "quarantined": 1}
    assert tally.by_file() == {"memory:0": {"read": 4, "filtered": 2, "quarantined": 1}}


def test_a_row_is_set_aside_as_it_came_from_the_source() -> None:
    _, tally = passed(source_of(), rule("known", "kind <> 'z'"))
    (rejected,) = tally.rejected.take().to_dicts()
    assert rejected == {
        "raw": b'{"id": 4, "amount": -2, "kind": "z"}',
        "form": "json",
        "context": None,
        "_source_file": "memory:0",
        "_source_offset": 3,
        "line": None,
        "rule": "known",
        "reason": "known: kind <> 'z'",
    }


NESTED: list[dict[str, Any]] = [
    {"id": 1, "tags": ["x", "y"], "place": {"city": "b"}, "kind": "a"},
    {"id": 2, "tags": [], "place": {"city": "ü"}, "kind": "z"},
]
STEPS: list[tuple[str, Any, str]] = [
    ("filter", ["id > 1"], "kind <> 'z'"),
    ("select", ["id"], "id < 2"),
    ("select", {"n": "id * 2"}, "n < 4"),
    ("with_columns", {"id": "id + 10"}, "id < 12"),
    ("rename", {"id": "key"}, "key < 2"),
    ("drop", ["kind"], "id < 2"),
    ("cast", {"id": "string"}, "id <> '2'"),
    ("fill_null", {"kind": "q"}, "kind <> 'z'"),
    ("explode", ["tags"], "kind <> 'z'"),
    ("unnest", ["place"], "city <> 'ü'"),
    ("unpivot", {"on": ["id"]}, "value < 2"),
    ("sql", "SELECT id AS key FROM input", "key < 2"),
]


@pytest.mark.parametrize(("key", "value", "check"), STEPS, ids=[f"{step[0]} {step[1]}" for step in STEPS])
def test_the_row_of_the_source_survives_every_transform(tmp_path: Path, key: str, value: Any, check: str) -> None:
    kind = TRANSFORMS[key]
    step = kind(kind.options_model.model_validate(value), TransformSite(tmp_path, 0))
    frame, tally = passed(source_of(NESTED), rule("known", check), transforms=[step])
    (rejected,) = tally.rejected.take().to_dicts()
    assert json.loads(rejected["raw"]) == NESTED[1]
    assert (rejected["_source_file"], rejected["_source_offset"]) == ("memory:0", 1)
    assert not [name for name in frame.columns if name.startswith("_etl") or name == "_source_row"]


def test_the_row_of_the_source_survives_a_function_of_the_user(tmp_path: Path) -> None:
    (tmp_path / "transforms").mkdir()
    code = "import polars as pl\ndef tidy(rows):\n    return rows.with_columns(id=pl.col('id') * 5)\n"
    (tmp_path / "transforms" / "expecting_shop.py").write_text(code)
    kind = TRANSFORMS["python"]
    step = kind(kind.options_model.model_validate("expecting_shop:tidy"), TransformSite(tmp_path, 0))
    _, tally = passed(source_of(NESTED), rule("known", "id < 10"), transforms=[step])
    (rejected,) = tally.rejected.take().to_dicts()
    assert json.loads(rejected["raw"]) == NESTED[1]


def test_rows_are_carried_along_only_where_one_may_be_set_aside() -> None:
    assert Expectations([rule("a", "id > 0"), rule("b", "id > 0", otherwise="drop")]).keeps_rows
    assert not Expectations([rule("b", "id > 0", otherwise="drop"), rule("c", "id > 0", otherwise="fail")]).keeps_rows


def test_a_check_is_tried_before_a_row_flows() -> None:
    flow = flow_of(source_of(), rule("fine", "id > 0"), rule("odd", "id + 1"))
    with pytest.raises(ConfigError, match="gives Int64, not true or false") as caught:
        check_flow(flow, {"source": {"id": "int64"}})
    assert caught.value.where == "expect[1].check"
    with pytest.raises(ConfigError, match="idd") as caught:
        check_flow(flow_of(source_of(), rule("odd", "idd > 0")), {"source": {"id": "int64"}})
    assert caught.value.where == "expect[0].check"


def test_columns_stay_what_they_are() -> None:
    flow = flow_of(source_of(), rule("fine", "id > 0"))
    assert list(check_flow(flow, {"source": {"id": "int64"}})) == ["id", *SYSTEM]


def test_a_check_may_ask_where_a_row_came_from() -> None:
    frame, _ = passed(source_of(ROWS[:1], ROWS[1:]), rule("first", "_source_file = 'memory:0'", otherwise="drop"))
    assert ids(frame) == [1]


def staged(*expected: ExpectationOptions) -> Any:
    source = source_of()
    planned = source.latest(None, ReadLimit())
    assert planned is not None
    plan = BatchPlan(7, ManualClock().now(), {"source": planned}, {"source": None}, "d")
    return stage_batch(flow_of(source, *expected), plan, iter("ab").__next__).manifest


@pytest.mark.parametrize("otherwise", ["warn", "drop", "fail"])
def test_a_rule_may_be_broken_by_its_fraction_of_the_rows_and_by_no_more(otherwise: str) -> None:
    manifest = staged(rule("paid", PAID, otherwise=otherwise, max_fraction=0.75))
    assert manifest.checks == {"paid": 3}
    with pytest.raises(QuarantineError) as caught:
        staged(rule("paid", PAID, otherwise=otherwise, max_fraction=0.7))
    assert caught.value.message == "paid: 3 of 4 rows do not satisfy amount >= 0, more than 0.7 of them"
    assert (caught.value.where, caught.value.exit_code) == ("expect", 1)


def test_each_rule_has_a_fraction_of_its_own() -> None:
    with pytest.raises(QuarantineError, match="known: 1 of 4"):
        staged(rule("paid", PAID, otherwise="warn", max_fraction=1), rule("known", "kind <> 'z'", max_fraction=0.2))


def test_rejected_rows_without_a_place_for_them_fail_the_batch() -> None:
    with pytest.raises(QuarantineError, match=r"rows were rejected; most often \(1\): known, known: kind <> 'z'"):
        staged(rule("known", "kind <> 'z'"))


def test_looking_at_rows_shows_those_that_go_on() -> None:
    source = source_of()
    planned = source.latest(None, ReadLimit())
    assert planned is not None
    plan = BatchPlan(7, ManualClock().now(), {"source": planned}, {"source": None}, "d")
    known = Survey({"id": "int64", "amount": "float64", "kind": "string"})
    assert ids(first_rows(flow_of(source, rule("paid", PAID)), plan, {"source": known}).collect()) == [1]


@pytest.mark.parametrize(
    ("quarantined", "fraction", "is_refused"),
    [(0, 0.0, False), (1, 0.0, True), (2, 0.2, False), (3, 0.2, True), (10, None, False), (10, 1.0, False)],
)
def test_a_quarantine_has_a_fraction_of_the_rows_that_arrived(
    quarantined: int, fraction: float | None, *, is_refused: bool
) -> None:
    rows = rejects([{"rule": "syntax", "reason": "cut off"}] * quarantined)
    side = Quarantine(MemorySink("q"), max_fraction=fraction)
    counts = {"read": 8, "added": 2, "quarantined": quarantined}
    if not is_refused:
        side.check(counts, rows)
        return
    with pytest.raises(QuarantineError, match=rf"{quarantined} of 10 rows were rejected.*syntax, cut off") as caught:
        side.check(counts, rows)
    assert caught.value.where == "q"
    assert "nothing was committed" in caught.value.hint
