from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
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
HOUR_US = 3_600_000_000
SCHEMA: dict[str, Any] = {"key": pl.String, "at": pl.Datetime("us", "UTC"), "n": pl.Int64, "_source_file": pl.String}
SITE = TransformSite(Path(), 2, has_watermark=True, time_column="at")
BARE = TransformSite(Path(), 2)


def step(options: dict[str, Any], site: TransformSite = SITE) -> Any:
    kind: Any = TRANSFORMS["deduplicate"]
    return kind(kind.options_model.model_validate({"keys": ["key"], **options}), site)


def batch(*rows: tuple[str | None, int | None, int], file: str = "f") -> pl.DataFrame:
    """Return rows of key, minute and number."""
    told = [(key, None if at is None else START + timedelta(minutes=at), number, file) for key, at, number in rows]
    return pl.DataFrame(told, schema=SCHEMA, orient="row")


def emitted(walked: Walk) -> list[list[int]]:
    """Return the numbers that came out, batch by batch."""
    return [sorted(part["n"]) for part in walked.emitted]


def test_a_key_that_was_seen_is_dropped_in_its_batch_and_in_later_ones() -> None:
    batches = [batch(("a", 1, 1), ("a", 1, 2), ("b", 1, 3)), batch(("a", 2, 4), ("c", 2, 5))]

    found = walk([step({})], [*batches], Clock(delay_us=HOUR_US))

    assert [part.height for part in found.emitted] == [2, 1]
    assert found.rows()["key"].sort().to_list() == ["a", "b", "c"]
    assert found.counts == [{"read": 3, "deduplicated": 1, "written": 2}, {"read": 2, "deduplicated": 1, "written": 1}]


def test_rows_pass_with_all_their_columns() -> None:
    rows = batch(("a", 1, 1)).with_columns(_batch_id=pl.lit(7, pl.Int64), tags=pl.lit(["x"]))

    assert walk([step({})], [rows], Clock()).emitted[0].equals(rows)


def test_the_earliest_row_of_a_batch_stays_then_the_first_in_its_file() -> None:
    rows = batch(("a", 2, 1), ("a", 1, 2), ("b", 1, 3), ("b", 1, 4))
    rows = rows.with_columns(_source_offset=pl.Series([0, 5, 9, 7], dtype=pl.Int64))

    assert emitted(walk([step({})], [rows], Clock())) == [[2, 4]]


def test_a_key_is_forgotten_when_the_watermark_reaches_its_row() -> None:
    found = walk([step({})], [batch(("a", 5, 1)), batch(("b", 6, 2)), batch(("a", 7, 3))], Clock(delay_us=0))

    assert emitted(found) == [[1], [2], [3]]
    assert [tables[0]["seen"].rows for tables in found.states] == [0, 0, 0]


def test_a_key_is_remembered_while_the_watermark_is_behind_its_row() -> None:
    clock = Clock(delay_us=HOUR_US)

    found = walk([step({})], [batch(("a", 5, 1)), batch(("b", 64, 2)), batch(("a", 7, 3)), batch(("c", 65, 4))], clock)

    assert emitted(found) == [[1], [2], [], [4]]
    assert [tables[0]["seen"].rows for tables in found.states] == [1, 2, 2, 2]


def test_late_rows_and_rows_without_a_time_are_set_aside() -> None:
    found = walk(
        [step({})], [batch(("a", 9, 1), ("b", None, 2)), batch(("c", 9, 3), ("d", 8, 4), ("e", 10, 5))], Clock()
    )

    assert emitted(found) == [[1], [5]]
    assert sorted(number for part in found.late for number in part["n"]) == [2, 3, 4]
    assert all(part.columns == [*SCHEMA, "_watermark"] for part in found.late)
    assert [counts["late"] for counts in found.counts] == [1, 2]


def test_within_keeps_rows_that_are_further_apart() -> None:
    minutes = {1: 0, 2: 10, 3: 11, 4: 20, 5: 22, 6: 50}

    found = walk([step({"within": "10m"})], [batch(*(("a", at, number) for number, at in minutes.items()))], Clock())

    assert emitted(found) == [[1, 3, 5, 6]]


def test_within_counts_from_a_row_kept_in_an_earlier_batch_in_both_directions() -> None:
    batches = [batch(("a", 30, 1)), batch(("a", 40, 2), ("a", 20, 3)), batch(("a", 41, 4), ("a", 19, 5))]

    found = walk([step({"within": "10m"})], [*batches], Clock(delay_us=HOUR_US))

    assert emitted(found) == [[1], [], [4, 5]]


def test_within_remembers_a_row_until_no_duplicate_of_it_can_come() -> None:
    batches = [batch(("a", 0, 1)), batch(("b", 9, 2)), batch(("a", 10, 3)), batch(("b", 30, 4))]

    found = walk([step({"within": "10m"})], [*batches], Clock())

    assert emitted(found) == [[1], [2], [], [4]]
    assert [tables[0]["seen"].rows for tables in found.states] == [1, 2, 1, 1]


def test_null_and_nan_are_keys_like_any_other() -> None:
    values = pl.Series("key", [None, float("nan"), 0.0, -0.0, None, float("nan")])
    rows = pl.DataFrame([values, pl.Series("n", range(6))])

    found = walk([step({}, BARE)], [rows, rows])

    assert [part.height for part in found.emitted] == [3, 0]


@pytest.mark.parametrize("kind", [pl.Date(), pl.Datetime("ms"), pl.Datetime("ns", "Europe/Berlin")])
def test_event_time_may_be_a_date_or_any_timestamp(kind: pl.DataType) -> None:
    days = pl.Series([date(2024, 3, 5), date(2024, 3, 6)]).cast(pl.Datetime("us"))
    times = (days.dt.replace_time_zone("UTC") if getattr(kind, "time_zone", None) else days).cast(kind)
    rows = pl.DataFrame({"key": ["a", "a"], "at": times, "n": [1, 2]})

    found = walk([step({"within": "1h"}), step({"within": "1h", "keep": "last"})], [rows, rows.clear()], Clock())

    assert found.rows().sort("n").equals(rows.head(1))


def test_without_a_watermark_a_key_is_remembered_for_ever() -> None:
    found = walk([step({}, BARE)], [batch(("a", 5, 1)), batch(("b", 99, 2)), batch(("a", 0, 3))])

    assert emitted(found) == [[1], [2], []]
    [told] = step({}, BARE).warnings()
    assert told.startswith("transforms[2].deduplicate: remembers every value of key for ever")
    assert told.endswith("behind a `watermark` a key is forgotten when event time has passed its row")
    assert step({}).warnings() == []


def test_keep_last_gives_a_row_when_the_watermark_reaches_it() -> None:
    clock = Clock(delay_us=10 * 60_000_000)
    batches = [
        batch(("a", 1, 1), file="x"),
        batch(("a", 3, 2), ("b", 5, 3), file="y"),
        batch(("c", 14, 4)),
        batch(("c", 15, 5)),
    ]

    found = walk([step({"keep": "last"})], [*batches], clock)

    assert emitted(found) == [[], [], [2], [3]]
    assert found.emitted[2]["_source_file"].to_list() == ["y"]
    assert found.counts == [
        {"read": 1, "folded": 1},
        {"read": 2, "folded": 2, "added": 1, "deduplicated": 1},
        {"read": 1, "folded": 1, "added": 1, "written": 1},
        {"read": 1, "folded": 1, "added": 2, "deduplicated": 1, "written": 1},
    ]


def test_keep_last_drops_an_earlier_row_that_comes_later() -> None:
    clock = Clock(delay_us=HOUR_US)

    found = walk([step({"keep": "last"})], [batch(("a", 9, 1)), batch(("a", 8, 2)), batch(("z", 69, 3))], clock)

    assert emitted(found) == [[], [], [1]]
    assert found.counts[1] == {"read": 1, "deduplicated": 1}


def test_keep_last_gives_no_row_that_was_replaced_in_the_batch_that_makes_it_final() -> None:
    batches = [batch((None, 0, 1), ("b", 4, 2)), batch((None, 1, 3), ("c", 60, 4))]

    found = walk([step({"keep": "last"})], [*batches], Clock(delay_us=HOUR_US // 12))

    assert emitted(found) == [[], [2, 3]]


def test_keep_last_passes_a_row_that_is_final_in_its_batch() -> None:
    found = walk([step({"keep": "last"})], [batch(("a", 1, 1), ("a", 2, 2))], Clock())

    assert emitted(found) == [[2]]
    assert found.counts == [{"read": 2, "deduplicated": 1, "written": 1}]


def test_keep_last_within_waits_for_a_row_that_could_follow() -> None:
    batches = [
        batch(("a", 0, 1), ("a", 30, 2)),
        batch(("a", 35, 3), ("b", 39, 4)),
        batch(("b", 45, 5)),
        batch(("b", 90, 6)),
    ]

    found = walk([step({"keep": "last", "within": "10m"})], [*batches], Clock())

    assert emitted(found) == [[1], [], [3], [5]]


@pytest.mark.parametrize(("minute", "kept"), [(10, [2]), (11, [1, 2])])
def test_keep_last_within_counts_a_row_at_its_end(minute: int, kept: list[int]) -> None:
    step_ = step({"keep": "last", "within": "10m"})

    found = walk([step_], [batch(("a", 0, 1), ("a", minute, 2), ("b", 90, 3))], Clock())

    assert emitted(found) == [kept]


def test_keep_last_without_a_watermark_gives_changes() -> None:
    batches = [batch(("a", 1, 1), ("b", 1, 2), file="x"), batch(("a", 1, 3), file="y"), batch(("b", 1, 4), file="w")]

    found = walk([step({"keep": "last"}, BARE)], [*batches])

    told = [list(part.select("key", "n", "_change").sort("key").iter_rows()) for part in found.emitted]
    assert told == [[("a", 1, "insert"), ("b", 2, "insert")], [("a", 3, "update")], []]
    assert found.counts[2] == {"read": 1, "deduplicated": 1}
    assert step({"keep": "last"}, BARE).result_keys(batches[0].schema) == ["key"]


def test_keep_last_takes_what_comes_later_where_no_origin_is_known() -> None:
    batches = [batch(("a", 1, 1)).drop("_source_file"), batch(("a", 0, 2)).drop("_source_file")]

    found = walk([step({"keep": "last"}, BARE)], [*batches])

    assert found.result(["key"])["n"].to_list() == [2]


def test_a_batch_without_rows_gives_what_became_final() -> None:
    found = walk([step({"keep": "last"})], [batch(("a", 1, 1)), batch(), batch()], Clock(delay_us=HOUR_US))

    assert [part.height for part in found.emitted] == [0, 0, 0]
    assert found.states[-1][0]["held"].rows == 1


def test_rows_come_out_no_further_behind_the_watermark_than_told() -> None:
    told = [
        step(options).behind_us
        for options in ({}, {"within": "1h"}, {"keep": "last"}, {"keep": "last", "within": "1h"})
    ]

    assert told == [0, 0, 0, HOUR_US]


def test_state_is_known_by_keys_and_time() -> None:
    fixed: dict[str, Json] = {"keys": ["key"], "keep": "first", "within_us": HOUR_US, "time": "at"}

    assert step({"within": "1h"}).fingerprint() == Fingerprint("deduplicate", fixed)
    assert step({}).next_due_us({}, None) is None


GIVEN = pl.Schema({"key": pl.String(), "at": pl.Datetime("us"), "tags": pl.List(pl.String())})


@pytest.mark.parametrize(
    ("options", "site", "given", "message", "hint"),
    [
        ({"keys": ["kee"]}, BARE, GIVEN, "unknown column 'kee'; did you mean 'key'?", "known: key, at, tags"),
        ({"keys": ["key", "key"]}, BARE, GIVEN, "two columns would be named 'key'", "rename or drop one"),
        ({"keys": ["tags"]}, BARE, GIVEN, "tags: List(String) cannot be a key", "a text of it"),
        ({"within": "1h"}, BARE, GIVEN, "`within` goes by event time", "put `watermark:"),
        ({}, SITE, {"key": pl.String()}, "the column of event time, 'at', is no longer there", "{at: window_end}"),
        ({}, SITE, {"key": pl.String(), "at": pl.Int64()}, "at: Int64 is no moment in time", "CAST(at AS TIMESTAMP)"),
        ({}, SITE, {**GIVEN, "_change": pl.String()}, "deduplicate takes rows that stay", "`emit: final`"),
        ({}, TransformSite(Path(), 2, is_whole=True), GIVEN, "`write_mode: overwrite`", "write_mode: append"),
    ],
)
def test_what_cannot_be_is_refused_with_the_alternative(
    options: dict[str, Any], site: TransformSite, given: dict[str, Any], message: str, hint: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        step(options, site).output_schema(pl.Schema(given))

    assert message in caught.value.message
    assert hint in caught.value.hint
    assert caught.value.where == "transforms[2].deduplicate"
