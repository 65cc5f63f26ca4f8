"""Files that are changed, added and removed while a fleet runs; real pipelines, a clock that is moved by hand."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from etl.service.declarations import Declarations
from etl.service.takeover import Takeover
from tests.scheduling import Yard, folder_with
from tests.serving import ids_of, put, source_of


class House:
    """A project, its fleet, and looks at its files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.yard = Yard()
        self._declarations = Declarations(folder, None)
        self._takeover = Takeover(self.yard.fleet, str(folder / "lake"))

    def write(self, **pipelines: str) -> None:
        folder_with(self.folder, **pipelines)

    def look(self) -> None:
        reading = self._declarations.look()
        if reading is not None:
            self._takeover.take(reading)

    def pass_s(self, seconds: float) -> None:
        self.look()
        self.yard.pass_s(seconds)

    def fault(self, name: str) -> str:
        return self.yard.fleet.find(name).fault


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(folder_with(tmp_path, a=source_of("a", "{every: 10s}")))


def test_an_edit_is_taken_at_the_next_border_of_a_batch(house: House) -> None:
    expected = put(house.folder, "a", 0)
    house.pass_s(1)
    assert ids_of(house.folder, "bronze.a") == expected
    put(house.folder, "a", 1)
    house.write(a=source_of("a", "{every: 10s}", "transforms:\n  - filter: id != 4\n"))
    house.pass_s(10)

    assert ids_of(house.folder, "bronze.a") == expected + Counter([3, 5])
    assert "taken" in house.yard.kinds("a")
    assert house.fault("a") == ""


def test_a_faulty_file_leaves_the_former_definition_running_and_shows_its_line(house: House) -> None:
    expected = put(house.folder, "a", 0)
    house.pass_s(1)
    house.write(a=source_of("a", "{every: 10s}", "transforms:\n  - filter: idd = 4\n"))
    expected += put(house.folder, "a", 1)
    house.pass_s(10)

    assert ids_of(house.folder, "bronze.a") == expected
    assert house.fault("a").startswith("pipelines/a.yml:5:5: transforms[0].filter: ")
    assert house.yard.kinds("a").count("faulty") == 1

    house.write(a=source_of("a", "{every: 10s}"))
    house.pass_s(1)
    assert house.fault("a") == ""
    assert ("a", "taken", "its file is again as it was") in house.yard.told


def test_another_trigger_counts_from_the_border_on(house: House) -> None:
    put(house.folder, "a", 0)
    house.pass_s(15)
    house.write(a=source_of("a", "{every: 3s}"))
    house.pass_s(10)
    assert house.yard.fleet.find("a").trigger == "every 3s"
    assert house.yard.kinds("a").count("started") == 2 + 4


def test_files_come_and_go(house: House) -> None:
    put(house.folder, "b", 0)
    house.pass_s(1)
    house.write(b=source_of("b", "{every: 10s}"))
    house.pass_s(1)
    assert ids_of(house.folder, "bronze.b") == Counter(range(3))
    (house.folder / "pipelines" / "a.yml").unlink()
    house.pass_s(1)
    assert [each.name for each in house.yard.fleet.served()] == ["b"]
    assert house.yard.kinds("a")[-1] == "removed"


def test_a_new_file_with_a_fault_is_seen_and_runs_when_it_is_mended(house: House) -> None:
    put(house.folder, "b", 0)
    house.write(b="source: nothing\n")
    house.pass_s(1)
    shown = house.yard.fleet.find("b")
    assert shown.phase == "faulty"
    assert shown.fault.startswith("pipelines/b.yml:1:")
    house.write(b=source_of("b", "{every: 10s}"))
    house.pass_s(1)
    assert house.yard.fleet.find("b").fault == ""
    assert ids_of(house.folder, "bronze.b") == Counter(range(3))


def test_a_fault_of_the_project_is_shown_everywhere_and_stops_nobody(house: House) -> None:
    house.pass_s(1)
    (house.folder / "etl.yml").write_text("laek: x\n")
    expected = put(house.folder, "a", 0)
    house.pass_s(10)
    assert "did you mean 'lake'" in house.fault("a")
    assert ids_of(house.folder, "bronze.a") == expected
    (house.folder / "etl.yml").unlink()
    house.pass_s(1)
    assert house.fault("a") == ""


def test_another_lake_wants_another_start(house: House) -> None:
    house.pass_s(1)
    (house.folder / "etl.yml").write_text("lake: ./other\n")
    house.pass_s(1)
    assert house.fault("a") == "etl.yml: the lake is another; end the service and start it anew"


def test_an_edit_takes_a_pipeline_up_again_that_failures_paused(house: House) -> None:
    (house.folder / "landing" / "a").mkdir(parents=True)
    (house.folder / "landing" / "a" / "0.ndjson").write_text('{"id": 1}\n{"id": 2}\nnonsense\n')
    house.write(a=source_of("a", "{every: 10s}", "quarantine: {max_fraction: 0.0}\n"))
    house.pass_s(5000)
    assert house.yard.fleet.find("a").phase == "paused"
    house.write(a=source_of("a", "{every: 10s}", "quarantine: {max_fraction: 0.5}\n"))
    house.pass_s(20)
    assert house.yard.fleet.find("a").phase == "waiting"
    assert ids_of(house.folder, "bronze.a") == Counter([1, 2])
