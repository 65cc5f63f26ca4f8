from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from etl.errors import ConfigError
from etl.model import Json
from etl.state.contract import Fingerprint
from etl.transforms import TRANSFORMS
from etl.transforms.contract import TransformSite
from tests.stepping import Clock, Walk, walk

START = datetime(2024, 3, 5, tzinfo=UTC)
MINUTE_US = 60_000_000
ORDERS = {"id": pl.String, "ordered_at": pl.Datetime("us", "UTC"), "n": pl.Int64, "_source_file": pl.String}
REFUNDS = {"id": pl.String, "refunded_at": pl.Datetime("us", "UTC"), "n": pl.Int64, "_source_file": pl.String}
SITE = TransformSite(Path(), 1, has_watermark=True)
BARE = TransformSite(Path(), 1)
WITHIN = {"column": "ordered_at", "other": "refunded_at", "before": "1m", "after": "10m"}
CLOCK = Clock(("ordered_at", "refunded_at"))

Row = tuple[str | None, int | None, int]


def step(how: str = "inner", site: TransformSite = SITE, **options: Any) -> Any:
    kind: Any = TRANSFORMS["join_stream"]
    value = {"with": "refunds", "on": ["id"], "how": how, "within": WITHIN, **options}
    return kind(kind.options_model.model_validate(value), site)


def batch(orders: list[Row], refunds: list[Row]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return rows of key, minute and number for both sides."""

    def frame(rows: list[Row], schema: Any) -> pl.DataFrame:
        told = [(key, None if at is None else START + timedelta(minutes=at), n, "f") for key, at, n in rows]
        return pl.DataFrame(told, schema=schema, orient="row")

    return frame(orders, ORDERS), frame(refunds, REFUNDS)


def pairs(walked: Walk) -> list[list[tuple[int | None, int | None]]]:
    """Return the numbers of the rows that came out together, batch by batch."""
    numbers = [part.select("n", "n_refunds").rows() for part in walked.emitted]
    return [sorted(part, key=lambda pair: [number or 0 for number in pair]) for part in numbers]


def test_a_pair_comes_out_in_the_batch_that_brings_the_second_of_its_rows() -> None:
    batches = [
        batch([("a", 0, 1)], [("b", 2, 20)]),
        batch([("b", 1, 2)], [("a", 3, 10)]),
        batch([("c", 5, 3)], [("c", 5, 30)]),
    ]

    found = walk([step()], [*batches], CLOCK)

    assert pairs(found) == [[], [(1, 10), (2, 20)], [(3, 30)]]
    assert found.counts == [
        {"read": 2, "folded": 2},
        {"read": 2, "folded": 2, "added": 2, "written": 2},
        {"read": 2, "folded": 2, "added": 1, "written": 1},
    ]


def test_a_pair_has_the_columns_of_both_and_its_key_once() -> None:
    found = walk([step()], [batch([("a", 0, 1)], [("a", 3, 10)])], CLOCK).rows()

    assert found.schema == pl.Schema(
        {
            "id": pl.String(),
            "ordered_at": pl.Datetime("us", "UTC"),
            "n": pl.Int64(),
            "refunded_at": pl.Datetime("us", "UTC"),
            "n_refunds": pl.Int64(),
        }
    )
    assert found.row(0) == ("a", START, 1, START + timedelta(minutes=3), 10)


def test_every_row_of_a_key_finds_all_partners() -> None:
    found = walk(
        [step()], [batch([("a", 0, 1), ("a", 0, 1)], [("a", 0, 10)]), batch([("a", 1, 2)], [("a", 1, 11)])], CLOCK
    )

    assert pairs(found) == [[(1, 10), (1, 10)], [(1, 11), (1, 11), (2, 10), (2, 11)]]


@pytest.mark.parametrize(("minute", "is_pair"), [(18, False), (19, True), (30, True), (31, False)])
def test_bounds_in_time_are_included(minute: int, is_pair: bool) -> None:
    found = walk([step()], [batch([("a", 20, 1)], [("a", minute, 10)])], CLOCK)

    assert pairs(found) == [[(1, 10)] if is_pair else []]


def test_a_null_is_no_key() -> None:
    found = walk([step("full")], [batch([(None, 0, 1)], [(None, 0, 10)])], CLOCK)

    assert pairs(found) == [[(None, 10), (1, None)]]
    assert [table.rows for table in found.states[0][0].values()] == [0, 0]


def test_rows_leave_state_when_no_partner_can_come() -> None:
    batches = [
        batch([("a", 0, 1)], [("b", 0, 20)]),
        batch([("z", 1, 8)], [("z", 1, 80)]),
        batch([("y", 10, 9)], [("y", 10, 90)]),
    ]

    found = walk([step()], [*batches], CLOCK)

    held = [(state["left"].rows, state["right"].rows) for [state] in found.states]
    assert held == [(1, 1), (2, 1), (2, 1)]


def test_a_left_row_without_a_partner_comes_out_when_the_watermark_proves_it() -> None:
    batches = [
        batch([("a", 0, 1), ("b", 0, 2)], [("b", 1, 20)]),
        batch([("z", 9, 8)], [("z", 9, 80)]),
        batch([("y", 10, 9)], [("y", 10, 90)]),
    ]

    found = walk([step("left")], [*batches], CLOCK)

    assert pairs(found) == [[(2, 20)], [(8, 80)], [(1, None), (9, 90)]]


def test_a_right_row_without_a_partner_comes_out_when_the_watermark_proves_it() -> None:
    batches = [batch([("b", 0, 2)], [("a", 0, 10), ("b", 0, 20)]), batch([("z", 1, 8)], [("z", 1, 80)])]

    found = walk([step("right")], [*batches], CLOCK)

    assert pairs(found) == [[(2, 20)], [(None, 10), (8, 80)]]
    assert found.rows().filter(pl.col("n").is_null())["id"].to_list() == ["a"]


def test_a_row_that_found_a_partner_in_an_earlier_batch_is_not_without_one() -> None:
    batches = [batch([("a", 0, 1)], [("z", 0, 80)]), batch([("z", 0, 8)], [("a", 1, 10)]), batch([], [("a", 2, 11)])]
    later = batch([("x", 60, 7)], [("w", 60, 70)])

    found = walk([step("full")], [*batches, later], Clock(("ordered_at", "refunded_at"), 5 * MINUTE_US))

    assert pairs(found) == [[], [(1, 10), (8, 80)], [(1, 11)], []]


def test_a_row_that_finds_its_partner_as_its_time_ends_is_not_without_one() -> None:
    batches = [batch([("a", 0, 1)], [("z", 0, 80)]), batch([("z", 20, 8)], [("a", 5, 10), ("z", 20, 81)])]

    found = walk([step("left")], [*batches], CLOCK)

    assert pairs(found) == [[], [(1, 10), (8, 81)]]


def test_semi_gives_a_left_row_once_with_its_first_partner() -> None:
    batches = [
        batch([("a", 0, 1), ("b", 0, 2)], []),
        batch([], [("a", 1, 10), ("a", 1, 11)]),
        batch([("a", 2, 3)], [("a", 2, 12)]),
    ]

    found = walk([step("semi")], [*batches], CLOCK)

    assert [part["n"].to_list() for part in found.emitted] == [[], [1], [3]]
    assert found.emitted[0].columns == ["id", "ordered_at", "n"]
    assert [state["left"].rows for [state] in found.states] == [2, 1, 1]


def test_late_rows_of_each_side_are_set_aside_by_their_own_time() -> None:
    batches = [
        batch([("a", 20, 1)], [("z", 30, 80)]),
        batch([("b", 20, 2), ("c", 21, 3)], [("a", 20, 10), ("a", None, 11)]),
    ]

    found = walk([step()], [*batches], CLOCK)

    assert [sorted(part["n"]) for part in found.late if "ordered_at" in part.columns] == [[2]]
    assert sorted(n for part in found.late if "refunded_at" in part.columns for n in part["n"]) == [10, 11]
    assert found.counts[1] == {"read": 4, "late": 3, "folded": 1}


def test_keys_may_have_other_names_on_the_other_side() -> None:
    [(orders, refunds)] = [batch([("a", 0, 1), ("b", 0, 2)], [("b", 0, 20), ("c", 0, 30)])]
    refunds = refunds.rename({"id": "order"})

    found = walk([step("full", on={"id": "order"})], [(orders, refunds), batch_far(refunds.schema)], CLOCK)

    assert found.rows().select("id", "n", "n_refunds").sort("id").rows() == [
        ("a", 1, None),
        ("b", 2, 20),
        ("c", None, 30),
    ]


def batch_far(schema: pl.Schema) -> tuple[pl.DataFrame, pl.DataFrame]:
    orders, refunds = batch([("far", 99, 9)], [("off", 99, 90)])
    return orders, refunds.rename(dict(zip(refunds.columns, schema, strict=True)))


def test_without_bounds_or_watermark_pairs_are_found_for_ever() -> None:
    batches = [batch([("a", 0, 1)], []), batch([], [("a", 500, 10), ("a", None, 11)]), batch([("a", 501, 2)], [])]

    unbounded = walk([step(within=None)], [*batches], CLOCK)
    untimed = walk([step(site=BARE)], [*batches])

    assert pairs(unbounded) == [[], [(1, 10), (1, 11)], [(2, 10), (2, 11)]]
    assert pairs(untimed) == [[], [], [(2, 10)]]
    assert [table.rows for table in untimed.states[-1][0].values()] == [2, 1]


@pytest.mark.parametrize(
    ("made", "warning"),
    [
        (step(within=None), ["transforms[1].join_stream: remembers the rows of both sides for ever: without `within`"]),
        (
            step(site=BARE),
            ["transforms[1].join_stream: remembers the rows of both sides for ever: without a watermark"],
        ),
        (step(), []),
    ],
)
def test_state_without_bounds_is_warned_of(made: Any, warning: list[str]) -> None:
    assert [told.removesuffix(" any may find a partner") for told in made.warnings()] == warning


def test_rows_come_out_no_further_behind_the_watermark_than_told() -> None:
    assert step().behind_us == 10 * MINUTE_US
    assert step(within=None).behind_us == 0
    assert step().next_due_us({}, None) is None


def test_state_is_known_by_what_makes_a_pair() -> None:
    fixed: dict[str, Json] = {
        "on": [["id", "id"]],
        "how": "left",
        "times": ["ordered_at", "refunded_at"],
        "within_us": [MINUTE_US, 10 * MINUTE_US],
        "is_bounded": True,
    }

    assert step("left").fingerprint() == Fingerprint("join_stream", fixed)
    assert step("left").inputs == ("refunds",)


GIVEN, OTHER = (frame.schema for frame in batch([], []))


@pytest.mark.parametrize(
    ("options", "given", "other", "message", "hint"),
    [
        ({"on": ["ids"]}, GIVEN, OTHER, "unknown column 'ids'; did you mean 'id'?", "known: id"),
        ({"on": {"id": "order"}}, GIVEN, OTHER, "unknown column 'order'", "known: id, refunded_at"),
        ({"on": ["id", "id"]}, GIVEN, OTHER, "two columns would be named 'id'", "rename or drop one"),
        ({"on": ["_source_file"]}, GIVEN, OTHER, "'_source_file' is the name of a system column", "another name"),
        ({"within": {**WITHIN, "other": "n"}}, GIVEN, OTHER, "n: Int64 is no moment in time", "CAST(at AS TIMESTAMP)"),
        ({}, GIVEN, {**OTHER, "id": pl.Int64()}, "id is String, id of refunds is Int64", "cast one of them"),
        ({}, GIVEN, {**OTHER, "_change": pl.String()}, "join_stream takes rows that stay", "`emit: final`"),
        ({}, {**GIVEN, "n_refunds": pl.String()}, OTHER, "two columns would be named 'n_refunds'", "rename or drop"),
        ({"how": "left", "within": None}, GIVEN, OTHER, "there is no `within`", "or how: inner"),
        ({"how": "full", "site": BARE}, GIVEN, OTHER, "there is no watermark", "or how: inner"),
        ({"site": TransformSite(Path(), 1, is_whole=True)}, GIVEN, OTHER, "`write_mode: overwrite`", "append"),
    ],
)
def test_what_cannot_be_is_refused_with_the_alternative(
    options: dict[str, Any], given: dict[str, Any], other: dict[str, Any], message: str, hint: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        step(**options).output_schema(pl.Schema(given), pl.Schema(other))

    assert message in caught.value.message
    assert hint in caught.value.hint
    assert caught.value.where == "transforms[1].join_stream"
