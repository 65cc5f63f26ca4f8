"""Pipelines over the tables of others: their order, what the commands tell of them, loops."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest
from deltalake import DeltaTable

from etl.config.faults import ConfigFaults
from etl.model import Bounds
from etl.operations.looking import Onlooker
from etl.operations.planning import plan_next
from etl.operations.running import Running, run_pipelines
from etl.operations.status import status_of, status_to_json
from etl.operations.tracing import Trace
from etl.operations.workspace import Workspace
from etl.progress import Silent
from etl.seam import Seam
from tests.unit.operations.conftest import put

CHAIN = {
    "a_totals": """\
version: 1
source: {type: delta, table: silver.newest, read: changes, primary_key: [order_id]}
transforms:
  - rename: {order_id: number}
  - group_by: {by: {is_big: amount >= 5}, aggregate: {n: COUNT(*), total: SUM(amount)}, emit: updates}
sink: {type: delta, table: gold.totals, write_mode: merge, primary_key: [is_big]}
""",
    "b_newest": """\
version: 1
source: {type: delta, table: silver.orders}
expect: [{name: known, check: amount < 100, otherwise: quarantine}]
sink: {type: delta, table: silver.newest, write_mode: merge, primary_key: [order_id]}
""",
}


@pytest.fixture
def chain(home: Workspace) -> Workspace:
    """Return a project of three pipelines, each over the table of another, whose names are in no order."""
    for name, text in CHAIN.items():
        write(home.folder, name, text)
    return Workspace(home.folder)


def write(folder: Path, name: str, text: str) -> None:
    (folder / "pipelines" / f"{name}.yml").write_text(text)


def run_all(workspace: Workspace) -> list[tuple[str, int]]:
    found = run_pipelines(workspace, None, Running(Seam(), Silent(), Bounds()))
    return [(outcome.pipeline, outcome.exit_code) for outcome in found]


def rows(workspace: Workspace, table: str, *columns: str) -> list[Any]:
    return sorted(pl.read_delta(f"{workspace.folder}/lake/{table}").select(columns).rows())


def test_a_chain_runs_in_the_order_of_its_tables_and_changes_flow_through_it(chain: Workspace) -> None:
    assert run_all(chain) == [("orders", 0), ("b_newest", 0), ("a_totals", 0)]
    assert rows(chain, "gold/totals", "is_big", "n", "total") == [(True, 2, 12.5)]

    put(chain.folder, "3", [{"order_id": 1, "amount": 2.0}, {"order_id": 4, "amount": 500.0}])

    assert run_all(chain) == [("orders", 0), ("b_newest", 0), ("a_totals", 0)]
    assert rows(chain, "gold/totals", "is_big", "n", "total") == [(False, 1, 2.0), (True, 1, 7.5)]
    assert rows(chain, "silver/newest__quarantine", "rule") == [("known",)]


def test_status_and_plan_tell_how_far_a_reader_is_behind(chain: Workspace) -> None:
    run_all(chain)
    put(chain.folder, "3", [{"order_id": 5, "amount": 2.0}])
    put(chain.folder, "4", [{"order_id": 6, "amount": 2.0}])
    list(run_pipelines(chain, ["orders"], Running(Seam(), Silent(), Bounds())))
    reader = chain.wired("b_newest", Onlooker())

    status = status_of(reader, Onlooker())

    assert (status.state, status.lag_files, status.note) == ("waiting", 2, "2 versions behind")
    assert status_to_json(status)["lag"]["versions"] == 2
    planned = plan_next(chain.wired("b_newest", Onlooker()), Onlooker())
    uris = [Path(each).name for each in DeltaTable(f"{chain.folder}/lake/silver/orders").file_uris()]
    assert len(planned.files) == 2
    assert {file.path for file in planned.files} <= set(uris)
    assert status_of(chain.wired("a_totals", Onlooker()), Onlooker()).lag_versions == 0
    assert status_of(chain.wired("orders", Onlooker()), Onlooker()).lag_versions is None


def test_trace_tells_which_files_of_the_other_table_made_a_version(chain: Workspace) -> None:
    run_all(chain)
    origin = Trace(chain, "silver.newest").version()
    assert (origin.pipeline, origin.batch_id) == ("b_newest", 0)
    assert sum(file.rows or 0 for file in origin.files) == 2

    (passage,) = Trace(chain, "silver.newest").file(origin.files[0].path)

    assert (passage.batch_id, passage.rows_read, passage.fates["written"]) == (0, 1, 1)


def test_a_reader_without_a_table_yet_waits_for_it(chain: Workspace) -> None:
    (outcome,) = run_pipelines(chain, ["b_newest"], Running(Seam(), Silent(), Bounds()))
    assert (outcome.exit_code, list(outcome.results)) == (0, [])
    assert status_of(chain.wired("b_newest", Onlooker()), Onlooker()).state == "never run"


@pytest.mark.parametrize(
    ("reads", "fault"),
    [
        ("gold.own", "reads what the sink writes (gold.own): the pipeline would feed itself"),
        ("gold.own__quarantine", "reads its own quarantine (gold.own__quarantine): rejected rows would come back"),
    ],
)
def test_a_pipeline_that_reads_what_it_writes_is_refused(home: Workspace, reads: str, fault: str) -> None:
    write(
        home.folder,
        "own",
        f"version: 1\nsource: {{type: delta, table: {reads}}}\nsink: {{type: delta, table: gold.own}}\n",
    )
    with pytest.raises(ConfigFaults) as refused:
        Workspace(home.folder).spec("own")
    assert fault in str(refused.value)


def test_a_circle_of_tables_is_refused(home: Workspace) -> None:
    for name, reads in (("a", "t.b"), ("b", "t.a")):
        source = f"source: {{type: delta, table: {reads}}}"
        write(home.folder, name, f"version: 1\n{source}\nsink: {{type: delta, table: t.{name}}}\n")
    with pytest.raises(ConfigFaults, match=r"source\.table: a cycle of pipelines"):
        Workspace(home.folder).spec("a")


@pytest.mark.parametrize(
    ("source", "fault"),
    [
        ("schema: {id: int64}", "says by itself which columns it has"),
        ("schema_contract: rescue", "new_columns: rescue is for single rows"),
        ("read: changes", "'read: changes' needs a primary_key"),
        ("starting: {version: x}", "source.starting.version: expected a whole number"),
    ],
)
def test_options_that_a_table_cannot_have_are_faults_of_the_file(home: Workspace, source: str, fault: str) -> None:
    write(
        home.folder,
        "own",
        f"version: 1\nsource: {{type: delta, table: a.b, {source}}}\nsink: {{type: delta, table: gold.own}}\n",
    )
    with pytest.raises(ConfigFaults) as refused:
        Workspace(home.folder).wired("own", Onlooker())
    assert fault in str(refused.value)


def test_a_step_that_loses_the_key_of_changes_is_refused(chain: Workspace) -> None:
    write(chain.folder, "a_totals", CHAIN["a_totals"].replace("rename: {order_id: number}", "select: [amount]"))
    assert run_all(Workspace(chain.folder))[-1] == ("a_totals", 2)


def test_changes_into_a_table_that_only_grows_are_refused(chain: Workspace) -> None:
    write(chain.folder, "a_totals", CHAIN["a_totals"].replace(", write_mode: merge, primary_key: [is_big]", ""))
    assert run_all(Workspace(chain.folder)) == [("orders", 0), ("b_newest", 0), ("a_totals", 2)]
