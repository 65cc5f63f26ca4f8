"""Whatever came when, and wherever runs ended or failed: the tables are what DuckDB makes of all rows at once."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, given, settings

from tests.stateful_chains import chains
from tests.stateful_histories import History, Home, histories
from tests.stateful_oracle import check

SHARED = Path("/dev/shm")  # noqa: S108  where it is, a disk in memory: durable writes cost nothing there
WHERE = SHARED if SHARED.is_dir() else None
EXAMPLES = settings(deadline=None, suppress_health_check=list(HealthCheck))


def prove(history: History, *, is_real: bool = False) -> None:
    with TemporaryDirectory(prefix="etl-history-", dir=WHERE) as folder:
        home = Home(Path(folder), history, is_real=is_real)
        home.play()
        check(home)


@settings(EXAMPLES, max_examples=200)
@given(history=histories(chains()))
def test_any_history_of_a_chain_ends_as_one_query_over_all_rows(history: History) -> None:
    prove(history)


@settings(EXAMPLES, max_examples=15)
@given(history=histories(chains()))
def test_any_history_ends_so_over_files_and_in_real_tables(history: History) -> None:
    prove(history, is_real=True)


@pytest.mark.slow
@settings(EXAMPLES, max_examples=4000)
@given(history=histories(chains()))
def test_thousands_of_histories_end_as_one_query_over_all_rows(history: History) -> None:
    prove(history)


@pytest.mark.slow
@settings(EXAMPLES, max_examples=500)
@given(history=histories(chains()))
def test_hundreds_of_histories_end_so_over_files_and_in_real_tables(history: History) -> None:
    prove(history, is_real=True)
