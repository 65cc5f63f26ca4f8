"""Pipelines that merge, keep versions or remember, refreshed in a process whose children die at a given effect."""

from __future__ import annotations

import json
from pathlib import Path

from tests.faults import crash_lab, state_lab

_KEYED = """
version: 1
name: events
source:
  type: files
  path: in/*.ndjson
  format: ndjson
  order: name
  batch: {max_files: 1}
  schema: {user: string, ts: timestamp(UTC), amount: float64}
transforms:
  - filter: ts IS NOT NULL
expect: [{name: has_user, check: user IS NOT NULL}]
quarantine: {max_fraction: 1}
sink: {type: delta, table: t.events, primary_key: [user], sequence_by: ts, delete_when: amount = 32, %s}
"""

state_lab.PIPELINES |= {
    "merged": _KEYED % "write_mode: merge",
    "versions": _KEYED % "write_mode: scd2",
    "whole": state_lab.SOURCE + "sink: {type: delta, table: t.events, write_mode: overwrite}\n",
}
REFRESHED = ("merged", "versions", "whole", "updates", "chain")


def lay_out(folder: Path, pipeline: str, *, is_new: bool) -> Path:
    """Return a project folder with the input of old, or with that which a refresh finds."""
    state_lab.lay_out(folder, pipeline)
    if is_new:
        renew(folder)
    return folder


def renew(folder: Path) -> None:
    """Change every file of the input: other amounts, and a row more."""
    for number, rows in enumerate(state_lab.EVENTS):
        changed = [{**row, "amount": row["amount"] + 64.0} for row in rows]
        more = state_lab.event(f"new{number}", f"10:{10 + 9 * number}")
        lines = [json.dumps(row) + "\n" for row in (*changed, more)]
        (folder / "in" / f"{number}.ndjson").write_text("".join(lines))


crash_lab.PIPELINES |= {"project": state_lab.project, "renew": state_lab.project}
crash_lab.REFRESHED |= {"renew": state_lab.project}

if __name__ == "__main__":
    crash_lab.main()
