from __future__ import annotations

from pathlib import Path
from typing import Any

from etl.cli.looking import _change_lines
from etl.model import SchemaChange

LONG = "a" * 200


def test_status_is_a_table_that_fits(ran: Any) -> None:
    done = ran("status")

    lines = done.stdout.splitlines()
    assert done.exit_code == 0
    assert lines[0].split() == [
        "pipeline",
        "state",
        "waiting",
        "bytes",
        "batch",
        "committed",
        "(UTC)",
        "rows",
        "table",
        "version",
    ]
    assert lines[2].split()[:5] == ["orders", "idle", "0", "0", "B"]
    assert lines[2].split()[-2:] == ["silver.orders", "1"]
    assert max(map(len, lines)) <= 100


def test_status_tells_the_newest_error_with_its_hint(ran: Any, shop: Path) -> None:
    (shop / "landing" / "3.ndjson").write_text("{\n")
    ran("run", "orders")

    done = ran("status", "orders")

    assert done.stdout.splitlines()[2].split()[:2] == ["orders", "failed"]
    assert "orders: failed at " in done.stdout
    assert "  silver.orders__quarantine: 1 of 1 rows were rejected, more than 0.9 of them; " in done.stdout


def test_status_of_a_refused_pipeline_names_the_reason(ran: Any, shop: Path) -> None:
    (shop / "lake" / "silver").rename(shop / "away")

    assert "orders: refused\n  silver.orders: table_missing: " in ran("status").stdout


def test_status_without_pipelines_names_the_next_step(etl: Any, shop: Path) -> None:
    (shop / "pipelines" / "orders.yml").unlink()

    assert etl("status").stdout == "no pipelines: write one into pipelines/, or start with etl init\n"


def test_status_as_json_is_one_document(ran: Any, told: Any) -> None:
    (found,) = told(ran("status", "--json"))

    assert found["state"] == "idle"
    assert found["last_batch"]["batch_id"] == 1


def test_history_leaves_out_fates_that_no_row_had(ran: Any) -> None:
    lines = ran("history", "orders").stdout.splitlines()

    assert lines[0] == "orders → silver.orders"
    assert lines[1].split() == [
        "batch",
        "committed",
        "(UTC)",
        "bytes",
        "read",
        "written",
        "filtered",
        "version",
        "seconds",
    ]
    assert [line.split()[0] for line in lines[3:]] == ["0", "1"]


def test_history_of_a_pipeline_that_never_ran(etl: Any, told: Any) -> None:
    assert etl("history", "orders").stdout == "never run\n"
    assert told(etl("history", "orders", "--json")) == []


def test_one_batch_is_told_in_full(ran: Any) -> None:
    text = ran("history", "orders", "--batch", "0").stdout

    assert "orders  batch 0  committed " in text
    assert "  tables       silver.orders version 0\n" in text
    assert "2 read, 0 added, 1 written, 1 filtered" in text


def test_a_batch_that_is_not_committed_is_an_error(ran: Any) -> None:
    done = ran("history", "orders", "--batch", "7")

    assert (done.exit_code, done.stderr) == (2, "error: orders: batch 7 is not committed\n")


def test_plan_tells_files_columns_and_the_rest(etl: Any) -> None:
    assert etl("plan", "orders").stdout.splitlines() == [
        "orders → silver.orders",
        "  next batch   0: 1 file, 51 B",
        "  files        landing/1.ndjson",
        "  input        2 new columns: id int64, amount float64",
        "  table        5 new columns: id int64, amount float64, _source_file string, _source_offset int64,",
        "               _batch_id int64",
        "  definition   new",
    ]


def test_plan_with_nothing_new(ran: Any) -> None:
    assert ran("plan", "orders").stdout.splitlines() == [
        "orders → silver.orders",
        "  next batch   2: nothing new to read",
        "  definition   unchanged",
    ]


def test_plan_shows_ten_files_and_counts_the_rest(etl: Any, shop: Path) -> None:
    path = shop / "pipelines" / "orders.yml"
    path.write_text(path.read_text().replace("max_files: 1", "max_files: 99"))
    for number in range(10, 21):
        (shop / "landing" / f"{number}.ndjson").write_text('{"id": 1, "amount": 1.0}\n')

    assert "               … and 3 files more\n" in etl("plan", "orders").stdout


def test_plan_tells_a_failure_to_come(ran: Any, shop: Path, told: Any) -> None:
    path = shop / "pipelines" / "orders.yml"
    path.write_text(path.read_text().replace("{type: files,", "{type: files, schema_contract: {type_change: fail},"))
    (shop / "landing" / "3.ndjson").write_text('{"id": "three", "amount": 1.0}\n')

    assert "  would fail   landing/3.ndjson:1: " in ran("plan", "orders").stdout
    assert told(ran("plan", "orders", "--json"))["trouble"].startswith("landing/3.ndjson:1: ")


def test_control_characters_of_a_file_name_are_spelt_out(etl: Any, shop: Path) -> None:
    (shop / "landing" / "0\x1b[31mred\n.ndjson").write_text('{"id": 9, "amount": 1.0}\n')
    path = shop / "pipelines" / "orders.yml"
    path.write_text(path.read_text().replace("max_files: 1", "max_files: 99"))

    for done in (etl("plan", "orders"), etl("run", "orders"), etl("trace", "silver.orders")):
        assert done.exit_code == 0
        assert "\x1b" not in done.output
    assert r"landing/0\x1b[31mred\n.ndjson" in etl("trace", "silver.orders").stdout


def test_preview_prints_rows_and_writes_nothing(etl: Any, shop: Path) -> None:
    done = etl("preview", "orders", "--rows", "1")

    assert done.exit_code == 0
    assert done.stdout.splitlines()[2].split() == ["1", "5", "landing/1.ndjson", "0", "0"]
    assert done.stdout.splitlines()[-1] == "1 row"
    assert not (shop / "lake").exists()


def test_preview_as_json(etl: Any, told: Any) -> None:
    (row,) = told(etl("preview", "orders", "--at", "filter", "--json"))

    assert (row["id"], row["amount"], row["_source_file"]) == (1, 5.0, "landing/1.ndjson")


def test_preview_says_where_its_rows_are_from(ran: Any) -> None:
    done = ran("preview", "orders")

    assert done.stderr == "nothing new: these rows are of the newest batch, read once more\n"


def test_preview_without_input(etl: Any, shop: Path) -> None:
    for path in (shop / "landing").iterdir():
        path.unlink()

    assert etl("preview", "orders").stderr == "there is no input yet\n"


def test_wide_rows_hide_their_last_columns_and_name_them(etl: Any, shop: Path) -> None:
    columns = ", ".join(f'"column_{number:02}": "{"x" * 30}"' for number in range(12))
    (shop / "landing" / "0.ndjson").write_text(f'{{"amount": 1.0, {columns}, "text": "{LONG}"}}\n')
    (shop / "landing" / "1.ndjson").unlink()
    (shop / "landing" / "2.ndjson").unlink()

    lines = etl("preview", "orders").stdout.splitlines()

    assert max(len(line) for line in lines[:-1]) <= 100
    assert lines[-1].startswith("not shown: column_0")
    assert lines[-1].endswith("_source_file, _source_offset, _batch_id")


def test_plan_tells_nested_types(ran: Any, shop: Path) -> None:
    (shop / "landing" / "3.ndjson").write_text('{"id": 1, "amount": 1.0, "tags": ["x"], "user": {"name": "y"}}\n')

    text = ran("plan", "orders").stdout

    assert "2 new columns: tags list<string>, user struct{name: string}" in text


def test_plan_tells_a_file_that_repeats_another(etl: Any, shop: Path) -> None:
    path = shop / "pipelines" / "orders.yml"
    path.write_text(path.read_text().replace("batch: {max_files: 1}", "identity: content"))
    (shop / "landing" / "9.ndjson").write_bytes((shop / "landing" / "1.ndjson").read_bytes())

    assert "repeats landing/1.ndjson: not read)" in etl("plan", "orders").stdout


def test_plans_of_a_dry_run_are_a_json_object_a_line(etl: Any) -> None:
    (line,) = etl("run", "--all", "--dry-run", "--json").stdout.splitlines()

    assert line.startswith('{"pipeline": "orders", "table": "silver.orders", "batch_id": 0, ')


def test_a_column_that_becomes_wider_is_told_with_both_types() -> None:
    assert _change_lines((SchemaChange("id", "int32", "int64"),)) == ["column id: int32 becomes int64"]
