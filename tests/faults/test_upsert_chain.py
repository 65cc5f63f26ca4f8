"""Bronze, silver by key, gold and gold of gold, killed anywhere while changes and deletions arrive, equal one query."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from tests.faults.medallion_lab import tidy
from tests.faults.test_crash_at_every_step import Lab
from tests.faults.test_medallion import finish
from tests.faults.upsert_chain_lab import CHAIN, FILES, arrive, lay_out
from tests.readers import table_rows

SEEDS = [1, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(2, 20))]
COLUMNS = {
    "silver/orders": ("id", "user", "amount", "seq"),
    "gold/users": ("user", "n", "total"),
    "gold/sizes": ("is_many", "users", "total"),
}
LIVE = """
    SELECT * FROM (SELECT * FROM changes QUALIFY row_number() OVER (PARTITION BY id ORDER BY seq DESC) = 1)
    WHERE op <> 'delete'"""
USERS = f"SELECT user, count(*) AS n, sum(amount)::BIGINT AS total FROM ({LIVE}) GROUP BY user"
QUERIES = {
    "silver/orders": f"SELECT id, user, amount, seq FROM ({LIVE})",
    "gold/users": USERS,
    "gold/sizes": f"SELECT n > 3, count(*), sum(total)::BIGINT FROM ({USERS}) GROUP BY ALL",
}
"""What each table must hold, by one query over all files."""


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    made = Lab("tests.faults.upsert_chain_lab")
    yield made
    made.close()


def expected(folder: Path, table: str) -> Counter[tuple[object, ...]]:
    columns = {"id": "BIGINT", "user": "VARCHAR", "amount": "BIGINT", "seq": "BIGINT", "op": "VARCHAR"}
    with duckdb.connect() as connection:
        rows = connection.read_json(f"{folder}/in/*.ndjson", columns=columns)
        connection.sql("CREATE TABLE changes AS SELECT DISTINCT * FROM rows")
        assert rows is not None
        return Counter(connection.sql(QUERIES[table]).fetchall())


def found(folder: Path, table: str) -> Counter[tuple[object, ...]]:
    return Counter(tuple(row[name] for name in COLUMNS[table]) for row in table_rows(folder / "lake" / table))


@pytest.mark.parametrize("seed", SEEDS)
def test_a_chain_over_changing_rows_killed_anywhere_equals_one_query(lab: Lab, tmp_path: Path, seed: int) -> None:
    chosen = random.Random(seed)
    folder = lay_out(tmp_path / "home")
    killed: Counter[str] = Counter()
    for number in range(FILES):
        arrive(folder, number)
        for name in CHAIN:
            if chosen.random() < 0.2:
                continue  # it lags behind
            for _ in range(2):
                failure = chosen.choice(["kill_before", "kill_after"])
                killed[name] += lab.run(folder, name, chosen.randrange(1, 35), failure)["signal"] == 9
        if chosen.random() < 0.5:
            tidy(folder, chosen.choice(["bronze/changes", "silver/orders", "gold/users"]))

    finish(lab, folder, CHAIN)

    assert sum(killed.values()) >= 8
    assert seed != 1 or all(killed[name] for name in CHAIN)
    for table in COLUMNS:
        assert found(folder, table) == expected(folder, table), table
