"""A chain of four pipelines over rows that are changed and deleted, in a process whose children die at an effect."""

from __future__ import annotations

import json
import random
from functools import partial
from pathlib import Path
from typing import Any

import etl.sinks.delta_merge
import etl.sinks.remembering  # noqa: F401  imported before the fork
from tests.faults import crash_lab
from tests.faults.medallion_lab import wired

FILES = 5
KEYS = 25
CHAIN = {
    "bronze": """
source: {type: files, path: in/*.ndjson, order: name, batch: {max_files: 1},
         schema: {id: int64, user: string, amount: int64, seq: int64, op: string}}
sink: {type: delta, table: bronze.changes}
""",
    "silver": """
source: {type: delta, table: bronze.changes, batch: {max_files: 2}}
sink: {type: delta, table: silver.orders, write_mode: merge, primary_key: [id], sequence_by: seq,
       delete_when: op = 'delete'}
""",
    "users": """
source: {type: delta, table: silver.orders, read: changes, primary_key: [id], batch: {max_files: 1}}
transforms:
  - group_by: {by: [user], aggregate: {n: COUNT(*), total: SUM(amount)}, emit: updates}
sink: {type: delta, table: gold.users, write_mode: merge, primary_key: [user]}
""",
    "sizes": """
source: {type: delta, table: gold.users, read: changes, primary_key: [user], batch: {max_files: 1}}
transforms:
  - group_by: {by: {is_many: n > 3}, aggregate: {users: COUNT(*), total: SUM(total)}, emit: updates}
sink: {type: delta, table: gold.sizes, write_mode: merge, primary_key: [is_many]}
""",
}
"""What each pipeline file says, in the order in which they read one another's tables."""


def changes_of(number: int) -> list[dict[str, Any]]:
    """Return the rows of a file: changes of few keys, out of order across files, a fifth of them deletions."""
    chosen = random.Random(number)
    seqs = random.Random(0).sample(range(FILES * 40), FILES * 40)[number * 40 : number * 40 + 40]
    return [
        {
            "id": chosen.randrange(KEYS),
            "user": chosen.choice(["ann", "bob", "cy", None, f"u{number}"]),
            "amount": chosen.randrange(100),
            "seq": seq,
            "op": "delete" if chosen.random() < 0.2 else "put",
        }
        for seq in seqs
    ]


def lay_out(folder: Path) -> Path:
    """Return a project folder with the chain, and no input yet."""
    (folder / "pipelines").mkdir(parents=True)
    (folder / "in").mkdir()
    for name, text in CHAIN.items():
        (folder / "pipelines" / f"{name}.yml").write_text(f"version: 1\nname: {name}{text}")
    return folder


def arrive(folder: Path, number: int) -> None:
    """Let a file arrive; the last row of the one before comes again."""
    rows = changes_of(number) + (changes_of(number - 1)[-1:] if number else [])
    (folder / "in" / f"{number}.ndjson").write_text("".join(json.dumps(row) + "\n" for row in rows))


if __name__ == "__main__":
    crash_lab.PIPELINES |= {name: partial(wired, name) for name in CHAIN}
    crash_lab.main()
