"""The sources of one runner: what each is asked, and what a restart reads for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from etl.engine import open_runner, run
from etl.errors import NotReadyError, SourceChangedError
from etl.flow import Branch
from etl.inlets import Inlets
from etl.model import BatchPlan, PlannedInput, ReadLimit
from etl.progress import Silent
from etl.seam import Seam
from etl.storage import LocalStorage
from etl.testing import ManualClock, MemorySink, MemorySource, memory_pipeline
from etl.transforms.contract import TransformSite
from etl.transforms.union import Union, UnionOptions
from tests.wiring import fed


class Heard(MemorySource):
    """A source that keeps what it is told, whose ledger is folded up to a batch, and whose plans can be amended."""

    def __init__(self, folded: int | None = None) -> None:
        super().__init__()
        self.folded = folded
        self.folds: list[int] = []
        self.restored: list[int] = []
        self.refreshed: list[str] = []

    @property
    def folded_upto(self) -> int | None:
        return self.folded

    def fold(self, upto: int) -> None:
        self.folds.append(upto)

    def restore(self, committed: list[tuple[int, PlannedInput]]) -> None:
        self.restored += [batch_id for batch_id, _ in committed]

    def refresh(self, planned: PlannedInput, cause: SourceChangedError) -> PlannedInput:
        self.refreshed.append(cause.path)
        return planned

    def take_notes(self) -> list[str]:
        return [f"{len(self.folds)} folds"]


def sources(*kinds: type[MemorySource] | MemorySource) -> list[Any]:
    return [kind() if isinstance(kind, type) else kind for kind in kinds]


def pipeline(folder: Path, main: MemorySource, beside: MemorySource, **changes: Any) -> Any:
    union = Union(UnionOptions.model_validate({"with": ["beside"]}), TransformSite(Path(), 0))
    branch = Branch("beside", beside, limit=ReadLimit(max_files=1))
    given = {"transforms": (union,), "branches": (branch,), **changes}
    return memory_pipeline(main, MemorySink(), LocalStorage(folder, Seam()), **given)


def test_a_restart_reads_for_a_source_only_the_plans_that_it_is_in(tmp_path: Path) -> None:
    """Plans between are not opened: one of them is unreadable."""
    main, beside = Heard(), Heard()
    fed([{"id": 1}], [{"id": 2}], [{"id": 3}], [{"id": 4}], [{"id": 5}], source=main)
    beside.add([{"id": 10}])
    made = pipeline(tmp_path, main, beside)
    run(made, Seam(), Silent())
    beside.add([{"id": 11}])
    run(made, Seam(), Silent())
    main.add([{"id": 6}])
    run(made, Seam(), Silent())
    main.folded, main.restored, beside.restored = 5, [], []
    (tmp_path / "offsets" / "0000000003.json").write_text("{}")
    run(made, Seam(), Silent())
    assert (main.restored, beside.restored) == ([6], [0, 5])


def test_a_source_folds_up_to_its_own_newest_batch(tmp_path: Path) -> None:
    main, beside = Heard(), Heard()
    fed([{"id": 1}], [{"id": 2}], [{"id": 3}], source=main)
    beside.add([{"id": 10}])
    run(pipeline(tmp_path, main, beside), Seam(), Silent())
    assert (main.folds, beside.folds) == ([2], [0])


def test_a_source_that_was_in_no_batch_is_not_asked_to_fold(tmp_path: Path) -> None:
    main, beside = Heard(), Heard()
    main.add([{"id": 1}])
    run(pipeline(tmp_path, main, beside), Seam(), Silent())
    assert (main.folds, beside.folds) == ([0], [])


@pytest.mark.parametrize(("main", "beside", "is_full"), [(1, 0, False), (2, 0, True), (0, 1, True), (0, 0, False)])
def test_a_batch_is_full_when_as_much_of_any_source_waits_as_one_takes(
    tmp_path: Path, main: int, beside: int, is_full: bool
) -> None:
    one, other = sources(MemorySource, MemorySource)
    for source, units in ((one, main), (other, beside)):
        for number in range(units):
            source.add([{"id": number}])
    with open_runner(pipeline(tmp_path, one, other, limit=ReadLimit(max_files=2)), Seam(), Silent()) as runner:
        runner.recover()
        assert runner.has_full_batch() is is_full


@pytest.mark.parametrize(
    ("cause", "refreshed"),
    [
        (SourceChangedError("b", "changed"), ([], ["b"])),
        (NotReadyError(("a", "c"), "not ready"), (["a"], [])),
        (SourceChangedError("unheard of", "changed"), (["unheard of"], ["unheard of"])),
    ],
)
def test_a_change_is_dealt_with_by_the_source_whose_unit_it_is(
    tmp_path: Path, cause: SourceChangedError, refreshed: tuple[list[str], list[str]]
) -> None:
    main, beside = Heard(), Heard()
    inlets = Inlets(pipeline(tmp_path, main, beside), ManualClock().now)
    inputs = inlets.again(0, {"source": {"path": ["a"]}, "beside": {"path": ["b"], "size_bytes": [1]}})
    plan = BatchPlan(0, ManualClock().now(), inputs, {}, "d")
    assert inlets.refreshed(plan, cause).inputs == inputs
    assert (main.refreshed, beside.refreshed) == refreshed


def test_a_source_that_has_nothing_in_the_batch_is_not_refreshed(tmp_path: Path) -> None:
    main, beside = Heard(), Heard()
    inlets = Inlets(pipeline(tmp_path, main, beside), ManualClock().now)
    plan = BatchPlan(0, ManualClock().now(), inlets.again(0, {"source": {"path": ["a"]}}), {}, "d")
    inlets.refreshed(plan, SourceChangedError("b", "changed"))
    assert (main.refreshed, beside.refreshed) == (["b"], [])


def test_what_every_source_noticed_is_told(tmp_path: Path) -> None:
    main, beside = Heard(), Heard()
    assert list(Inlets(pipeline(tmp_path, main, beside), ManualClock().now).notes()) == ["0 folds", "0 folds"]


def test_a_batch_without_news_keeps_every_place(tmp_path: Path) -> None:
    main, beside = Heard(), Heard()
    inlets = Inlets(pipeline(tmp_path, main, beside), ManualClock().now)
    (stays, same) = inlets.idle(3).values()
    assert stays == same
    assert (stays.span.start, stays.span.end, stays.units, stays.previous) == (None, {}, {}, -1)
    assert inlets.idle(0)["source"].previous is None
