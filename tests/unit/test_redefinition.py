"""An edited pipeline over what it remembers: what goes on, what begins empty, what is refused, and when."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest

import etl
from etl.errors import StateError
from etl.model import Bounds
from etl.operations.looking import Onlooker
from etl.operations.planning import NextBatch, plan_next
from etl.operations.running import Running, run_pipeline
from etl.operations.workspace import Workspace
from etl.redefinition import Outlook
from etl.seam import Seam
from tests.remembering import DEDUPLICATE, GROUP_BY, SINK, SOURCE, VISITS, WATERMARK, make_visits, put_visits

AMOUNT = "amount: float64"


@pytest.fixture
def visits(tmp_path: Path) -> Path:
    """Return a project that ran four batches, and has a file for the next."""
    make_visits(tmp_path)
    etl.run("visits", tmp_path)
    put_visits(tmp_path, 4, ("g", "10:24", "DE", 64.0))
    return tmp_path


def edited(folder: Path, *changes: tuple[str, str]) -> None:
    text = VISITS
    for before, after in changes:
        assert before in text
        text = text.replace(before, after)
    (folder / "pipelines" / "visits.yml").write_text(text)


def plan(folder: Path) -> NextBatch:
    seam = Onlooker()
    return plan_next(Workspace(folder).wired("visits", seam), seam)


def told(found: NextBatch) -> dict[str, tuple[str, ...]]:
    return {each.transform: (each.verdict, *each.details) for each in found.state}


def kept(folder: Path) -> dict[str, bytes]:
    """Return all that tables, plans, manifests, commit entries and state are."""
    whole = (folder / "lake").rglob("*")
    passing = ("epochs", "last_error.json")
    return {str(path): path.read_bytes() for path in whole if path.is_file() and not {*path.parts} & {*passing}}


REFUSED = [
    ([("by: [country]", "by: [country, id]")], "transforms[2].group_by", "by was (country) and is (country, id) now"),
    ([("every: 5m", "every: 10m")], "transforms[2].group_by",
     "window.every was 5m and is 10m now; window.period was 5m and is 10m now"),
    ([("SUM(amount)", "AVG(amount)")], "transforms[2].group_by", "total was SUM(amount) and is AVG(amount) now"),
    ([("keys: [id]", "keys: [id], within: 1h")], "transforms[1].deduplicate", "within was none and is 1h now"),
    ([("keys: [id]", "keys: [id], keep: last")], "transforms[1].deduplicate", "keep was first and is last now"),
    ([("id: string", "id: int64")], "transforms[1].deduplicate", "id was string and is int64 now"),
    ([(AMOUNT, 'amount: "decimal(10,2)"')], "transforms[2].group_by", "total was float64 and is decimal(38,2) now"),
    ([(DEDUPLICATE, f"  - rename: {{country: land}}\n{DEDUPLICATE}"), ("by: [country]", "by: [land]")],
     "transforms[3].group_by", "by was (country) and is (land) now"),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "place", "detail"), REFUSED)
def test_what_state_cannot_serve_is_refused_before_anything_is_planned(
    visits: Path, changes: list[tuple[str, str]], place: str, detail: str
) -> None:
    edited(visits, *changes)
    before = kept(visits)

    found = plan(visits)
    with pytest.raises(StateError) as caught:
        etl.run("visits", visits)

    (refused,) = [each for each in found.state if each.is_refused]
    assert (refused.verdict, refused.place, "; ".join(refused.details)) == ("refused", place, detail)
    assert str(found.trouble) == str(caught.value)
    assert str(caught.value) == (
        f"{place}: its definition changed: {detail}\n"
        "  undo the change, or build state and table anew from the first file on: etl run visits --full-refresh"
    )
    assert caught.value.exit_code == 4
    assert kept(visits) == before


def test_a_refused_change_that_is_undone_leaves_no_trace(visits: Path) -> None:
    edited(visits, ("every: 5m", "every: 10m"))
    with pytest.raises(StateError):
        etl.run("visits", visits)
    edited(visits)

    assert plan(visits).definition == "unchanged"
    assert [result.batch_id for result in etl.run("visits", visits)] == [4]


def test_a_refused_change_holds_after_a_full_refresh(visits: Path) -> None:
    edited(visits, ("every: 5m", "every: 10m"))

    etl.run("visits", visits, full_refresh=True)

    assert told(plan(visits)) == {"deduplicate": ("same",), "group_by": ("same",)}


@pytest.mark.parametrize(
    ("text", "gone"),
    [
        (f"{SOURCE}transforms:\n{WATERMARK}{DEDUPLICATE}{SINK}", "group_by"),
        (f"{SOURCE}{SINK}", "deduplicate, group_by"),
    ],
)
def test_a_transform_that_is_gone_is_refused_also_where_none_is_left(visits: Path, text: str, gone: str) -> None:
    (visits / "pipelines" / "visits.yml").write_text(text)
    before = kept(visits)

    with pytest.raises(StateError) as caught:
        etl.run("visits", visits)

    assert caught.value.message == f"there is state of transforms that the pipeline no longer has: {gone}"
    assert caught.value.hint.endswith("etl run visits --full-refresh")
    assert str(plan(visits).trouble) == str(caught.value)
    assert kept(visits) == before


def test_several_refusals_are_told_together(visits: Path) -> None:
    edited(visits, ("by: [country]", "by: [id]"), ("keys: [id]", "keys: [id], keep: last"))

    assert str(plan(visits).trouble).splitlines()[:2] == [
        "transforms[1].deduplicate: its definition changed: keep was first and is last now",
        "  transforms[2].group_by: its definition changed: by was (country) and is (id) now",
    ]


def test_a_filter_has_no_effect_on_state(visits: Path) -> None:
    edited(visits, (DEDUPLICATE, f"  - filter: amount > 0\n{DEDUPLICATE}"))

    assert told(plan(visits)) == {"deduplicate": ("same",), "group_by": ("same",)}
    assert [result.batch_id for result in etl.run("visits", visits)] == [4]


def test_an_aggregate_may_be_added_and_another_left_out(visits: Path) -> None:
    edited(visits, ("visits: COUNT(*), ", ""), ("total: SUM(amount)", "total: SUM(amount), most: MAX(amount)"))

    found = plan(visits)
    etl.run("visits", visits)
    groups = etl.read_state("visits", "group_by", project=visits)

    assert told(found)["group_by"] == (
        "compatible",
        "most is new and starts empty",
        "visits is left out and forgotten",
    )
    assert found.trouble is None
    assert isinstance(groups, pl.DataFrame)
    assert groups.select("country", "total:sum", "most:value").rows() == [("DE", 88.0, 64.0)]
    assert told(plan(visits)) == {"deduplicate": ("same",), "group_by": ("same",)}


def test_a_new_transform_starts_empty(visits: Path) -> None:
    edited(visits, (GROUP_BY, f"  - deduplicate: {{keys: [id, country]}}\n{GROUP_BY}"))

    assert told(plan(visits)) == {
        "deduplicate": ("same",),
        "deduplicate-2": ("new", "is new and starts empty"),
        "group_by": ("same",),
    }
    assert [result.batch_id for result in etl.run("visits", visits)] == [4]


def test_a_wider_type_is_told_and_goes_on(tmp_path: Path) -> None:
    text = VISITS.replace(AMOUNT, "amount: int32").replace("SUM(amount)", "MAX(amount)")
    make_visits(tmp_path, text)
    for path in (tmp_path / "landing" / "visits").iterdir():
        path.write_text(path.read_text().replace(".0}", "}"))
    etl.run("visits", tmp_path)
    (tmp_path / "pipelines" / "visits.yml").write_text(text.replace("amount: int32", "amount: int64"))

    assert told(plan(tmp_path))["group_by"] == ("compatible", "total grows from int32 to int64")


def test_a_run_says_how_state_goes_on(visits: Path) -> None:
    class Notes:
        def __init__(self) -> None:
            self.said: list[str] = []

        def planned(self, *_: Any) -> None:
            """Say nothing."""

        def committed(self, *_: Any) -> None:
            """Say nothing."""

        def noted(self, _pipeline: str, message: str) -> None:
            self.said.append(message)

    edited(visits, ("total: SUM(amount)", "total: SUM(amount), most: MAX(amount)"))
    notes, seam = Notes(), Seam()

    outcome = run_pipeline(Workspace(visits).wired("visits", seam), Running(seam, notes, Bounds()))

    assert outcome.error is None
    assert notes.said == ["group_by: most is new and starts empty"]


def test_before_the_first_batch_nothing_is_remembered(tmp_path: Path) -> None:
    make_visits(tmp_path)
    assert plan(tmp_path).state == ()


def test_a_column_that_is_not_there_is_the_fault_of_the_file(visits: Path) -> None:
    edited(visits, ("by: [country]", "by: [land]"))

    found = plan(visits)

    assert found.state == ()
    assert "unknown column 'land'" in str(found.trouble)


def test_a_damaged_state_is_told_by_plan(visits: Path) -> None:
    for path in (visits / "lake" / "_checkpoints" / "visits" / "state" / "group_by").glob("*.json"):
        path.write_text("{}")

    assert "its bytes are not those that were written" in str(plan(visits).trouble)


def test_only_what_stops_a_pipeline_is_refused() -> None:
    verdicts = ["same", "compatible", "new", "refused", "gone"]
    assert [Outlook("t", verdict).is_refused for verdict in verdicts] == [False, False, False, True, True]  # type: ignore[arg-type]
