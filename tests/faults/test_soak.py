"""A service at work for long: its memory, handles and threads stay as they are, and its tables are whole."""

from __future__ import annotations

import os
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.scheduling import folder_with
from tests.serving import Service, ids_of, put, source_of

SOAK_S = float(os.environ.get("ETL_SOAK_S", "3600"))
"""How long; an hour where nobody says otherwise."""
PAUSE_S = 0.25
PIPELINES = {
    "often": source_of("often", "{every: 500ms}"),
    "ever": source_of("ever", "continuous"),
    "apart": source_of("apart", "{every: 30s}", "isolation: process\n"),
    "behind": "source: {type: delta, table: bronze.often}\nsink: {type: delta, table: silver.behind}\n"
    "trigger: {after: [often]}\n",
    "failing": source_of("nowhere", "{every: 1s}"),  # its folder is not there
}


@dataclass(frozen=True)
class Standing:
    """What a process holds. ``threads`` are without those of the pool that delta-rs reads and writes files with.

    That pool grows to as many as there are files to be read at once, and shrinks ten seconds after.
    """

    mib: float
    handles: int
    threads: int


def standing(pid: int) -> Standing:
    lines = (line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    status = {key: value.split() for key, value in lines}
    handles = len(os.listdir(f"/proc/{pid}/fd"))
    names = [name_of(each) for each in Path(f"/proc/{pid}/task").iterdir()]
    return Standing(int(status["VmRSS"][0]) / 1024, handles, sum(name != "tokio-rt-worker" for name in names))


def name_of(task: Path) -> str:
    """Return the name of a thread; one that ended meanwhile has that of the pool whose threads come and go."""
    try:
        return (task / "comm").read_text().strip()
    except OSError:
        return "tokio-rt-worker"


@pytest.mark.slow
def test_memory_handles_and_threads_are_flat(tmp_path: Path) -> None:
    folder = folder_with(tmp_path, **PIPELINES)
    expected = {name: put(folder, name, 0) for name in ("often", "ever", "apart")}
    service = Service(folder)
    seen: list[Standing] = []
    try:
        began_s, number = time.monotonic(), 1
        while (passed_s := time.monotonic() - began_s) < SOAK_S:
            for name, ids in expected.items():
                ids.update(put(folder, name, number))
            number += 1
            if passed_s >= SOAK_S * (len(seen) + 1) / 21:
                seen.append(standing(service.process.pid))
            time.sleep(PAUSE_S)
        for name, ids in expected.items():
            ids.update(put(folder, name, number))
        tables = {f"bronze.{name}": ids for name, ids in expected.items()} | {"silver.behind": expected["often"]}
        service.wait_for("committed", is_enough=lambda: all(ids_of(folder, each) == tables[each] for each in tables))
        assert service.end() == 0
    finally:
        service.close()

    early, late = seen[4:8], seen[-4:]  # caches are full after the first fifth
    told = [(round(each.mib), each.handles, each.threads) for each in seen]
    assert max(each.threads for each in late) <= max(each.threads for each in early) + 4, told
    assert min(each.handles for each in late) <= max(each.handles for each in early) + 8, told
    assert min(each.mib for each in late) <= max(each.mib for each in early) * 1.15, told
    assert all(ids == Counter(dict.fromkeys(ids, 1)) for ids in expected.values())
