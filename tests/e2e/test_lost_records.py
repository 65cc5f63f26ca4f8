"""Records of a checkpoint that are lost: the message names the command that makes them again, and it does."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

REBUILD = "etl checkpoint rebuild orders"


def ids(etl: Any) -> Counter[int]:
    done = etl("query", "SELECT id FROM silver.orders", "--format", "json")
    return Counter(row["id"] for row in json.loads(done.stdout))


@pytest.mark.parametrize(
    ("lost", "message"),
    [
        ("pipeline.json", "pipeline.json is missing, but there are plans"),
        ("offsets", "the newest manifest is of batch 2, the newest plan of batch -1"),
    ],
)
def test_what_the_message_says_makes_the_checkpoint_again_and_the_run_goes_on(
    shop: Path, etl: Any, open_gate: Callable[[], None], lost: str, message: str
) -> None:
    open_gate()
    assert etl("run", "orders").returncode == 0
    checkpoint = shop / "lake" / "_checkpoints" / "orders"
    (checkpoint / lost).rename(shop / "lost")
    (shop / "landing" / "3.ndjson").write_text('{"id": 3}\n')

    refused = etl("run", "orders")

    assert refused.returncode == 4
    assert message in refused.stderr
    assert REBUILD in " ".join(refused.stderr.split())
    if "move it away" in refused.stderr:
        shutil.move(checkpoint, shop / "away")
    assert etl(*REBUILD.split()[1:]).returncode == 0
    assert etl("run", "orders").returncode == 0
    assert ids(etl) == Counter([0, 1, 2, 3, 10, 11, 12])
    assert etl("verify", "orders", "--deep").returncode == 0
