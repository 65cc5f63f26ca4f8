"""What the page knows of input that waits, and what it says where nobody can tell."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from tests.page.conftest import put

if TYPE_CHECKING:
    from tests.asking import Asked


def test_input_that_waits_is_counted_soon_after_somebody_looks(acting: Asked) -> None:
    put(acting.fleet.workspace, "3.ndjson", '{"id": 9, "amount": 1.0}\n')

    assert "1 file, 25 B" in lag_of(acting, "orders", lambda lag: lag not in ("", "…"))


def test_a_source_that_cannot_be_asked_is_told_and_not_asked_all_the_time(acting: Asked) -> None:
    (acting.fleet.workspace.folder / "lake" / "_checkpoints" / "orders" / "commits" / "0000000001.json").write_text("x")

    lag = lag_of(acting, "orders", lambda lag: lag not in ("", "…"))

    assert lag == "unknown"
    assert acting.look("/ui/").status == 200
    assert acting.look("/ui/pipelines/orders").status in (200, 409)


def lag_of(asked: Asked, name: str, is_told: Callable[[str], bool]) -> str:
    """Return what the list says of the lag of a pipeline, as soon as it says something."""
    deadline = time.monotonic() + 20
    lag = ""
    while not is_told(lag) and time.monotonic() < deadline:
        row = asked.look("/ui/").text.partition(f'id="row-{name}"')[2]
        cell = re.search(r'class="lag"[^>]*>(.*?)</td>', row, re.DOTALL)
        lag = "" if cell is None else re.sub("<[^>]*>", "", cell[1]).strip()
    return lag
