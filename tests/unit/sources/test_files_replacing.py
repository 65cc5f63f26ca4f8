"""``on_change: replace_rows``: which files a plan reads whole, and whose rows go."""

from __future__ import annotations

import pytest

from etl.errors import NotReadyError, SourceChangedError
from etl.model import ReadLimit
from tests.landing import Landing, planned, read


def test_a_changed_file_is_read_whole_and_its_former_rows_are_named_under_replace_rows(landing: Landing) -> None:
    landing.put("a.jsonl", 1, modified_s=100)
    landing.put("b.jsonl", 2, modified_s=100)
    walk = landing.run(identity="path_and_version", on_change="replace_rows", order="name")
    assert planned(walk).replaces == ()
    landing.put("a.jsonl", 7, 8, modified_s=200)
    landing.put("c.jsonl", 3, modified_s=200)
    (landing.root / "in" / "b.jsonl").unlink()
    walk.restart()
    plan = planned(walk)
    assert (plan.units["path"], plan.replaces) == (["in/a.jsonl", "in/c.jsonl"], ("in/a.jsonl",))
    assert [row["id"] for row in walk.rows(plan)] == [7, 8, 3]


def test_what_a_plan_leaves_out_is_replaced_by_a_later_one(landing: Landing) -> None:
    landing.put("a.jsonl", 1, modified_s=100)
    walk = landing.run(identity="path_and_version", on_change="replace_rows", unready_for="0s")
    walk.take()
    landing.put("a.jsonl", 2, modified_s=200)
    plan = walk.source.latest(None, ReadLimit())
    assert plan is not None
    walk.source.accept(1, plan)
    left = walk.source.refresh(plan, NotReadyError(("in/a.jsonl",), "not ready"))
    assert (left.units["path"], left.replaces) == ([], ())
    again = walk.source.latest(None, ReadLimit())
    assert again is not None
    assert (again.units["path"], again.replaces) == (["in/a.jsonl"], ("in/a.jsonl",))


def test_a_replacing_file_that_is_gone_is_planned_anew_also_under_ignore_missing(landing: Landing) -> None:
    landing.put("a.jsonl", 1, modified_s=100)
    walk = landing.run(identity="path_and_version", on_change="replace_rows", ignore_missing=True)
    walk.take()
    path = landing.put("a.jsonl", 2, modified_s=200)
    plan = walk.source.latest(None, ReadLimit())
    assert plan is not None
    path.unlink()
    with pytest.raises(SourceChangedError) as caught:
        read(walk, plan)
    left = walk.source.refresh(plan, caught.value)
    assert (left.units["path"], left.replaces) == ([], ())
