from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from etl.checkpoint.lease import FileLease
from etl.cli.app import app
from etl.seam import Seam


def test_a_run_prints_a_line_a_batch_and_the_sum(etl: Any) -> None:
    done = etl("run", "orders")

    lines = done.stdout.splitlines()
    assert done.exit_code == 0
    assert lines[0].startswith("orders  batch 0  51 B  2 read, 1 written, 1 filtered  silver.orders v0  ")
    assert lines[1].startswith("orders  batch 1  25 B  1 read, 1 written  silver.orders v1  ")
    assert lines[2:] == ["orders  2 batches, 2 rows written"]


def test_a_run_in_the_project_folder_itself_takes_no_file_for_edited(shop: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(shop)

    done = CliRunner().invoke(app, ["run", "--all"], prog_name="etl")

    assert done.exit_code == 0
    assert "edited" not in done.stdout


def test_a_run_with_nothing_new_says_so(ran: Any) -> None:
    done = ran("run", "--all")

    assert (done.exit_code, done.stdout) == (0, "orders  nothing new\n")


def test_json_is_one_object_a_line_and_the_same_as_history(etl: Any, told: Any) -> None:
    done = etl("run", "--all", "--json")

    batches = [json.loads(line) for line in done.stdout.splitlines()]
    assert [list(batch) for batch in batches] == [
        [
            "pipeline", "batch_id", "offsets", "tables", "rows", "watermark", "bytes_read", "seconds", "schema_changes",
            "checks", "resolution",
            "state",
        ]
    ] * 2  # fmt: skip
    assert batches[0]["tables"] == {"silver.orders": 0}
    assert set(batches[0]["seconds"]) >= {"plan", "stage", "commit", "total"}
    history = told(etl("history", "orders", "--json"))
    assert [{name: batch[name] for name in batches[0]} for batch in history] == batches
    assert [list(batch)[-1] for batch in history] == ["definition"] * 2


def test_once_and_max_batches_bound_a_run(etl: Any) -> None:
    assert len(etl("run", "orders", "--once", "--json").stdout.splitlines()) == 1
    assert len(etl("run", "orders", "--max-batches", "1", "--json").stdout.splitlines()) == 1
    assert etl("run", "orders").stdout == "orders  nothing new\n"


def test_no_time_left_means_no_batch(etl: Any) -> None:
    assert etl("run", "orders", "--max-seconds", "0").stdout == "orders  nothing new\n"


def test_a_dry_run_tells_the_next_batch_and_changes_nothing(etl: Any, shop: Path) -> None:
    done = etl("run", "--all", "--dry-run")

    assert done.exit_code == 0
    assert "next batch   0: 1 file, 51 B" in done.stdout
    assert not (shop / "lake").exists()


def test_names_or_all_must_be_given_and_not_both(etl: Any) -> None:
    assert etl("run").exit_code == 2
    assert etl("run", "orders", "--all").exit_code == 2


def test_an_unknown_name_is_wrong_usage(etl: Any) -> None:
    done = etl("run", "ordres")

    assert done.exit_code == 2
    assert done.stderr == "error: unknown pipeline 'ordres'; did you mean 'orders'?\n"


def test_faults_of_the_files_are_listed_and_nothing_is_started(etl: Any, shop: Path) -> None:
    (shop / "pipelines" / "b.yml").write_text("version: 1\nsource:\n  type: fiels\nsink: {type: delta, table: a.b}\n")

    done = etl("run", "--all")

    assert done.exit_code == 2
    assert done.stderr.splitlines() == [
        "pipelines/b.yml: 1 problem",
        "  3:9    source.type: unknown source 'fiels'; did you mean 'files'?",
    ]
    assert not (shop / "lake").exists()


def test_a_failed_run_tells_where_why_and_what_next(etl: Any, shop: Path) -> None:
    (shop / "landing" / "2.ndjson").write_text("{\n")

    done = etl("run", "orders")

    assert done.exit_code == 1
    assert done.stderr.startswith(
        "orders: failed after 1 batch\nerror: silver.orders__quarantine: 1 of 1 rows were rej"
    )
    assert "\n  " in done.stderr
    assert "Traceback" not in done.output


def test_a_reader_of_a_failed_pipeline_is_skipped_aloud(etl: Any, shop: Path) -> None:
    (shop / "landing" / "1.ndjson").write_text("{\n")
    (shop / "pipelines" / "copy.yml").write_text(
        "version: 1\nsource: {type: files, path: lake/silver/orders/*.parquet}\nsink: {type: delta, table: gold.copy}\n"
    )

    done = etl("run", "--all")

    assert done.exit_code == 1
    assert "copy: skipped, it reads the table of orders, which failed" in done.stderr


def test_a_second_runner_leaves_with_three(ran: Any, shop: Path) -> None:
    lease = FileLease(shop / "lake" / "_checkpoints" / "orders" / "lease.lock", Seam())
    assert lease.acquire()

    done = ran("run", "orders")
    lease.release()

    assert done.exit_code == 3
    assert "another runner holds this pipeline: process" in done.stderr


def test_a_table_that_is_gone_is_refused_with_four(ran: Any, shop: Path) -> None:
    (shop / "lake" / "silver").rename(shop / "away")

    done = ran("run", "orders")

    assert done.exit_code == 4
    assert "table_missing" in done.stderr


def test_the_worst_exit_code_is_that_of_the_run(ran: Any, shop: Path) -> None:
    (shop / "lake" / "silver").rename(shop / "away")
    (shop / "pipelines" / "zz.yml").write_text(
        "version: 1\nsource: {type: files, path: nowhere/*.csv}\nsink: {type: delta, table: a.b}\n"
    )

    assert ran("run", "--all").exit_code == 4


def test_a_full_refresh_builds_the_table_anew(ran: Any, shop: Path) -> None:
    (shop / "landing" / "1.ndjson").write_text('{"id": 1, "amount": "five"}\n')
    (shop / "landing" / "2.ndjson").unlink()
    (shop / "pipelines" / "orders.yml").write_text(
        "version: 1\nsource: {type: files, path: landing/*.ndjson}\nsink: {type: delta, table: silver.orders}\n"
    )

    done = ran("run", "orders", "--full-refresh")

    assert done.exit_code == 0, done.stderr
    assert done.stdout.startswith("orders  batch 0  28 B  1 read, 1 written  silver.orders v2  ")
    table = ran("query", "SELECT id, amount FROM silver.orders", "--format", "json")
    assert json.loads(table.stdout) == [{"id": 1, "amount": "five"}]
    assert ran("run", "orders").stdout == "orders  nothing new\n"


def test_a_full_refresh_is_for_named_pipelines(ran: Any, shop: Path) -> None:
    done = ran("run", "--all", "--full-refresh")

    assert done.exit_code == 2
    assert "name the pipelines whose tables are to be built anew" in done.stderr
    assert not list(shop.rglob("pipeline.2.json"))


def test_a_dry_run_of_a_full_refresh_tells_its_first_batch_and_changes_nothing(ran: Any, shop: Path) -> None:
    before = sorted(shop.rglob("*"))

    done = ran("run", "orders", "--full-refresh", "--dry-run")

    assert done.exit_code == 0
    assert "next batch   0: 2 files, 76 B" in done.stdout
    assert "full refresh the table is built anew, and takes the place of the present one in one version" in done.stdout
    assert sorted(shop.rglob("*")) == before


def test_a_full_refresh_without_input_says_so_and_leaves_the_table(ran: Any, shop: Path) -> None:
    for path in (shop / "landing").iterdir():
        path.unlink()

    done = ran("run", "orders", "--full-refresh")

    assert done.exit_code == 0
    assert done.stdout.splitlines() == [
        "orders  full refresh: nothing to read yet; until then the table stays as it is",
        "orders  nothing new",
    ]
    assert "3" in ran("query", "SELECT id FROM silver.orders").stdout
    assert "unfinished" in ran("status").stdout


def test_a_lost_checkpoint_is_refused_with_the_command_that_builds_the_table_anew(ran: Any, shop: Path) -> None:
    shutil.rmtree(shop / "lake" / "_checkpoints")

    done = ran("run", "orders")

    assert done.exit_code == 4
    assert "table_ahead: the table holds batches of this pipeline up to 1" in done.stderr
    assert "build the table anew: etl run orders --full-refresh" in done.stderr
    assert ran("run", "orders", "--full-refresh").exit_code == 0


def test_a_full_refresh_without_time_is_begun_and_left_to_the_next_run(ran: Any) -> None:
    done = ran("run", "orders", "--full-refresh", "--max-seconds", "0")

    assert (done.exit_code, done.stdout) == (0, "orders  nothing new\n")
    assert "batch 0  76 B  3 read, 2 written" in ran("run", "orders").stdout
