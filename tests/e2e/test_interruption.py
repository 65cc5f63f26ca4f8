from __future__ import annotations

import os
import signal
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable

EXPECTED = Counter({number + tens: 1 for number in range(3) for tens in (0, 10)})


def ids(shop: Path) -> Counter[int]:
    """Return how often each id is in the table, read file by file with pyarrow."""
    files = DeltaTable(str(shop / "lake" / "silver" / "orders")).file_uris()
    return Counter(pa.concat_tables([pq.read_table(file, columns=["id"]) for file in files])["id"].to_pylist())


def under_way(shop: Path) -> int:
    """Wait until a batch stands at the gate; return the descriptor that holds it there."""
    return os.open(shop / "gate", os.O_WRONLY)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_the_first_signal_lets_the_batch_finish(
    number: signal.Signals, code: int, shop: Path, start: Any, etl: Any, open_gate: Any
) -> None:
    process = start("run", "orders")
    gate = under_way(shop)
    process.send_signal(number)
    assert process.stderr.readline().startswith(f"{number.name}: finishing the batch (at most 20 s")
    open_gate()
    os.close(gate)

    out, err = process.communicate(timeout=30)

    assert process.returncode == code, err
    assert [line.split()[2] for line in out.splitlines()] == ["0"]
    assert "the batch under way was finished" in err
    assert ids(shop) == Counter([0, 10])
    assert etl("run", "orders").returncode == 0
    assert ids(shop) == EXPECTED


def test_the_second_signal_abandons_the_batch_even_in_native_code(
    shop: Path, start: Any, etl: Any, open_gate: Any
) -> None:
    process = start("run", "orders")
    gate = under_way(shop)
    process.send_signal(signal.SIGINT)
    process.stderr.readline()
    process.send_signal(signal.SIGINT)

    process.communicate(timeout=30)

    assert process.returncode == 130
    assert "unfinished" in etl("status").stdout
    os.close(gate)
    open_gate()
    assert etl("run", "orders").returncode == 0
    assert ids(shop) == EXPECTED


def test_a_killed_run_leaves_every_row_once_after_the_next(shop: Path, start: Any, etl: Any, open_gate: Any) -> None:
    process = start("run", "orders")
    gate = under_way(shop)
    process.kill()
    process.communicate(timeout=30)
    os.close(gate)
    open_gate()

    status = etl("status")
    assert "unfinished" in status.stdout, status.stderr
    assert "recovery     this batch is unfinished" in etl("plan", "orders").stdout
    done = etl("run", "orders")

    assert done.returncode == 0, done.stderr
    assert ids(shop) == EXPECTED


def test_a_killed_full_refresh_leaves_the_old_table_and_is_continued_by_a_plain_run(
    shop: Path, start: Any, etl: Any, open_gate: Any
) -> None:
    gate = shop / "gate"
    gate.rename(shop / "shut")
    assert etl("run", "orders").returncode == 0
    (shop / "shut").rename(gate)
    (shop / "landing" / "0.ndjson").unlink()
    process = start("run", "orders", "--full-refresh")
    opened = under_way(shop)
    process.kill()
    process.communicate(timeout=30)
    os.close(opened)
    open_gate()

    assert ids(shop) == EXPECTED
    assert "unfinished" in etl("status").stdout
    done = etl("run", "orders")

    assert done.returncode == 0, done.stderr
    assert ids(shop) == Counter([1, 11, 2, 12])


def test_a_second_runner_leaves_and_status_names_the_first(shop: Path, start: Any, etl: Any, open_gate: Any) -> None:
    process = start("run", "orders")
    gate = under_way(shop)

    second, status = etl("run", "orders"), etl("status")
    open_gate()
    os.close(gate)
    process.communicate(timeout=30)

    assert second.returncode == 3
    assert f"another runner holds this pipeline: process {process.pid} on" in second.stderr
    assert "running" in status.stdout
    assert process.returncode == 0
    assert ids(shop) == EXPECTED
