from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tests.remembering import make_clicks, make_visits


@pytest.fixture
def remembering(etl: Any, shop: Path) -> Any:
    """Return a function that runs a command in a project whose pipelines remember rows."""
    make_visits(shop)
    make_clicks(shop)
    assert etl("run", "visits", "clicks").exit_code == 0
    return etl


def test_show_lists_what_is_remembered(remembering: Any) -> None:
    done = remembering("state", "show", "visits")

    lines = done.stdout.splitlines()
    assert lines[0] == "visits  after batch 3, watermark 2026-01-01 10:17:00 UTC"
    assert [line.split()[:3] for line in lines[3:]] == [
        ["deduplicate", "deduplicate", "2"],
        ["group_by", "group_by", "1"],
    ]
    assert lines[4].split()[-3:] == ["2", "2026-01-01", "10:25:00"]
    assert [line.split()[1] for line in remembering("state", "show", "clicks").stdout.splitlines()[3:]] == [
        "join_stream_left",
        "join_stream_right",
    ]


def test_show_lists_an_earlier_batch_as_json(remembering: Any, told: Any) -> None:
    found = told(remembering("state", "show", "visits", "--batch", "0", "--json"))

    assert (found["pipeline"], found["batch_id"], found["watermark"]) == ("visits", 0, "2026-01-01T09:58:00+00:00")
    first = found["tables"][0]
    assert first.pop("bytes") > 0
    assert first == {
        "transform": "deduplicate",
        "table": "seen",
        "name": "deduplicate",
        "rows": 2,
        "changed_by": 0,
        "next_expiry": "2026-01-01T10:01:00+00:00",
        "columns": {"id": "string", "_etl_expires": "timestamp(UTC)"},
    }


def test_show_says_that_nothing_is_remembered(ran: Any) -> None:
    assert ran("state", "show", "orders").stdout.splitlines() == [
        "orders  after batch 1",
        "nothing is remembered: no transform has state",
    ]


def test_show_prints_the_rows_of_a_transform_and_explains_columns(remembering: Any) -> None:
    lines = remembering("state", "show", "visits", "deduplicate", "--rows", "1").stdout.splitlines()

    assert lines[0] == "deduplicate  after batch 3: at most 2 rows"
    assert lines[1].split() == ["id", "_etl_expires"]
    assert lines[-2:] == ["1 row", "  _etl_expires: the row is forgotten when the watermark reaches it"]
    assert len(lines) == 6


def test_show_prints_every_table_of_a_transform(remembering: Any, told: Any) -> None:
    lines = remembering("state", "show", "clicks", "join_stream").stdout.splitlines()
    found = told(remembering("state", "show", "clicks", "join_stream", "--json"))

    heads = [line for line in lines if "after batch" in line]
    assert heads == [f"join_stream_{side}  after batch 0: at most 1 row" for side in ("left", "right")]
    assert found["tables"]["left"][0]["view"] == "v"
    assert found["tables"]["right"][0]["clicked_at"] == "2026-01-01 10:00:30+00:00"


def test_show_of_an_unknown_transform_or_batch_is_refused(remembering: Any) -> None:
    unknown = remembering("state", "show", "visits", "groupby")
    assert (unknown.exit_code, unknown.stderr) == (
        2,
        "error: visits, batch 3: no transform 'groupby' remembers anything; did you mean 'group_by'?\n",
    )
    assert "batch 9 is not committed; the newest is 3" in remembering("state", "show", "visits", "--batch", "9").stderr


def test_query_prints_and_writes_every_format(remembering: Any, told: Any, tmp_path: Path) -> None:
    sql = 'SELECT country, "visits:count" AS n FROM group_by'
    output = tmp_path / "open.parquet"

    assert remembering("state", "query", "visits", sql).stdout.splitlines()[2:] == ["DE       2", "1 row"]
    assert remembering("state", "query", "visits", sql, "--batch", "1", "--format", "csv").stdout == "country,n\nDE,1\n"
    assert told(remembering("state", "query", "visits", sql, "--json")) == [{"country": "DE", "n": 2}]
    assert remembering("state", "query", "visits", sql, "--format", "parquet").exit_code == 2
    done = remembering("state", "query", "visits", sql, "--format", "parquet", "--output", str(output))
    assert (done.exit_code, pl.read_parquet(output).rows()) == (0, [("DE", 2)])


def test_bytes_are_told_by_their_size_or_as_base64(etl: Any, shop: Path, told: Any) -> None:
    text = "{visits: COUNT(*), total: SUM(amount)}"
    make_visits(shop)
    path = shop / "pipelines" / "visits.yml"
    path.write_text(path.read_text().replace(text, "{ids: APPROX_COUNT_DISTINCT(id)}"))
    many = "".join(
        f'{{"id": "{number}", "at": "2026-01-01T10:01:00Z", "country": "DE", "amount": 1.0}}\n'
        for number in range(1500)
    )
    for file in (shop / "landing" / "visits").iterdir():
        file.unlink()
    (shop / "landing" / "visits" / "0.ndjson").write_text(many)
    assert etl("run", "visits").exit_code == 0
    sql = 'SELECT "ids:sketch" AS sketch FROM group_by'

    (row,) = told(etl("state", "query", "visits", sql, "--json"))

    assert etl("state", "query", "visits", sql).stdout.splitlines()[2].endswith("KB")
    assert etl("state", "query", "visits", sql, "--format", "csv").stdout == f"sketch\n{row['sketch']}\n"
    assert len(row["sketch"]) > 1000


def test_the_command_says_what_it_is_for(etl: Any) -> None:
    assert "etl state show orders" in etl("state", "--help").stdout
