"""A chain of five pipelines, killed anywhere while files arrive and tables are compacted, equals one batch query."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest
from deltalake import DeltaTable

from etl.operations.refreshing import begin_refresh
from etl.seam import Seam
from tests.faults.medallion_lab import CHAIN, DELAY_M, FILES, arrive, lay_out, tidy, wired
from tests.faults.test_crash_at_every_step import Lab
from tests.readers import table_rows

SEEDS = [1, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(2, 20))]
TABLES = {
    "silver/events": ("id", "user", "ts", "amount"),
    "gold/windows": ("user", "window_start", "n", "total"),
    "silver/users": ("user", "n", "total"),
    "gold/sizes": ("is_many", "users", "total"),
}
QUERIES = {
    "silver/events": "SELECT id, user, epoch(ts), amount FROM events",
    "gold/windows": """
        SELECT user, start, count(*), sum(amount)
        FROM (SELECT *, epoch(ts)::BIGINT // 900 * 900 AS start FROM events)
        WHERE start + 900 <= (SELECT epoch(max(ts)) FROM events) - 60 * $delay GROUP BY user, start""",
    "silver/users": "SELECT user, count(*), sum(amount) FROM events GROUP BY user",
    "gold/sizes": """
        SELECT n > 4, count(*), sum(total)
        FROM (SELECT user, count(*) AS n, sum(amount) AS total FROM events GROUP BY user) GROUP BY ALL""",
}
"""What each table must hold, by one query over all files."""


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    made = Lab("tests.faults.medallion_lab")
    yield made
    made.close()


def expected(folder: Path, table: str) -> Counter[str]:
    columns = {"id": "BIGINT", "user": "VARCHAR", "ts": "TIMESTAMP", "amount": "BIGINT"}
    with duckdb.connect() as connection:
        rows = connection.read_json(f"{folder}/in/*.ndjson", columns=columns)
        connection.sql("CREATE TABLE events AS SELECT DISTINCT * FROM rows")
        assert rows is not None
        params = {"delay": DELAY_M} if "$delay" in QUERIES[table] else None
        return Counter(repr(_plain(row)) for row in connection.sql(QUERIES[table], params=params).fetchall())


def found(folder: Path, table: str) -> Counter[str]:
    rows = table_rows(folder / "lake" / table)
    return Counter(repr(_plain([row[name] for name in TABLES[table]])) for row in rows)


def _plain(values: Any) -> list[Any]:
    """Return values of one row alike, whatever read them: moments in seconds, sums as integers."""
    timed = [int(value.timestamp()) if hasattr(value, "timestamp") else value for value in values]
    return [value if value is None or isinstance(value, str | bool) else int(value) for value in timed]


def finish(lab: Lab, folder: Path, chain: Iterable[str] = CHAIN) -> None:
    """Run a chain to its end."""
    for name in chain:
        for _ in range(3):
            if lab.run(folder, name)["exit"] == 0:
                break
        else:
            pytest.fail(f"{name}: {(folder / 'error.txt').read_text()}")


@pytest.mark.parametrize("seed", SEEDS)
def test_a_chain_of_pipelines_killed_anywhere_equals_one_query(lab: Lab, tmp_path: Path, seed: int) -> None:
    chosen = random.Random(seed)
    folder = lay_out(tmp_path / "home")
    killed: Counter[str] = Counter()
    for number in range(FILES):
        arrive(folder, number)
        for name in CHAIN:
            if chosen.random() < 0.3:
                continue  # it lags behind
            failure = chosen.choice(["kill_before", "kill_after"])
            killed[name] += lab.run(folder, name, chosen.randrange(1, 60), failure)["signal"] == 9
        if chosen.random() < 0.5:
            tidy(folder, chosen.choice(["bronze/events", "silver/events", "silver/users"]))

    finish(lab, folder)

    assert sum(killed.values()) >= 5
    for table in TABLES:
        assert found(folder, table) == expected(folder, table), table


def test_a_reader_that_lags_behind_vacuum_commits_nothing_and_goes_on_by_a_full_refresh(
    lab: Lab, tmp_path: Path
) -> None:
    folder = lay_out(tmp_path / "home")
    arrive(folder, 0)
    assert [lab.run(folder, name)["exit"] for name in ("bronze", "silver")] == [0, 0]
    arrive(folder, 1)
    assert lab.run(folder, "bronze")["exit"] == 0
    tidy(folder, "bronze/events")
    DeltaTable(folder / "lake" / "bronze" / "events").vacuum(0, enforce_retention_duration=False, dry_run=False)
    before = found(folder, "silver/events")

    assert lab.run(folder, "silver")["exit"] == 1

    assert "version 1 of bronze.events needs part-" in (folder / "error.txt").read_text()
    assert found(folder, "silver/events") == before

    begin_refresh(wired("silver", folder, Seam()), Seam())
    assert lab.run(folder, "silver")["exit"] == 0
    assert found(folder, "silver/events") == expected(folder, "silver/events")
