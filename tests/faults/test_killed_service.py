"""A service that is killed again and again while input arrives: nothing is lost, nothing is doubled."""

from __future__ import annotations

import random
import signal
import threading
from collections import Counter
from pathlib import Path

import pytest

from tests.scheduling import folder_with
from tests.serving import Service, ids_of, put, source_of

TRIGGERS = {
    "often": source_of("often", "{every: 100ms}"),
    "ever": source_of("ever", "continuous"),
    "apart": source_of("apart", "{every: 200ms}", "isolation: process\n"),
}
SILVER = "source: {type: delta, table: bronze.often}\nsink: {type: delta, table: silver.often}\n"
MERGED = (
    "source: {type: delta, table: bronze.ever}\n"
    "sink: {type: delta, table: gold.ever, write_mode: merge, primary_key: [id]}\ntrigger: {after: [ever]}\n"
)


class Load:
    """Files that arrive at three pipelines until it is told to end."""

    def __init__(self, folder: Path, pause_s: float) -> None:
        self._folder = folder
        self._pause_s = pause_s
        self._is_over = threading.Event()
        self.expected: dict[str, Counter[int]] = {name: Counter() for name in TRIGGERS}
        self._thread = threading.Thread(target=self._deliver)
        self._thread.start()

    def _deliver_all(self, number: int) -> None:
        for name in TRIGGERS:
            self.expected[name] += put(self._folder, name, number)

    def _deliver(self) -> None:
        number = 0
        while not self._is_over.wait(self._pause_s):
            self._deliver_all(number)
            number += 1
        self._deliver_all(number)  # so that there is always something left to do

    def end(self) -> None:
        """Deliver a last time."""
        self._is_over.set()
        self._thread.join()


@pytest.mark.parametrize("kills", [2, pytest.param(25, marks=pytest.mark.slow)])
def test_nothing_is_lost_or_doubled_however_often_it_is_killed(tmp_path: Path, kills: int) -> None:
    folder = folder_with(tmp_path, **TRIGGERS, silver=SILVER + "trigger: {after: [often]}\n", gold=MERGED)
    chance = random.Random(kills)
    load = Load(folder, 0.3)
    try:
        for _ in range(kills):
            service = Service(folder)
            try:
                for _ in range(chance.randint(1, 12)):
                    service.wait_for("committed")
                threading.Event().wait(chance.random() * 0.2)
            finally:
                service.end(signal.SIGKILL)
    finally:
        load.end()

    service = Service(folder)
    try:
        wanted = {f"bronze.{name}": ids for name, ids in load.expected.items()}
        wanted |= {"silver.often": load.expected["often"], "gold.ever": load.expected["ever"]}
        service.wait_for("committed", is_enough=lambda: {table: ids_of(folder, table) for table in wanted} == wanted)
        assert service.end() == 0
    finally:
        service.close()
    assert {table: ids_of(folder, table) for table in wanted} == wanted
    assert all(Counter(ids.values()).keys() == {1} for ids in wanted.values())
