from __future__ import annotations

import pytest

from etl.cli.reporting import JsonLines, Lines, batch_line, reporting
from etl.model import BatchResult

RESULT = BatchResult(
    pipeline="orders",
    batch_id=4,
    offsets={},
    tables={"silver.orders": 7},
    rows={"read": 1200, "added": 0, "written": 1000, "filtered": 200},
    watermark=None,
    bytes_read=181_213,
    seconds={"total": 1.234},
)


def test_a_batch_is_a_line_with_the_fates_that_rows_had() -> None:
    assert (
        batch_line(RESULT)
        == "orders  batch 4  181.2 KB  1,200 read, 1,000 written, 200 filtered  silver.orders v7  1.23 s"
    )


def test_a_note_is_a_line_without_control_characters(capsys: pytest.CaptureFixture[str]) -> None:
    Lines().noted("orders", "batch 1: a\x1b[2Jb")

    assert capsys.readouterr().out == "orders  batch 1: a\\x1b[2Jb\n"


def test_with_json_a_note_does_not_disturb_the_lines(capsys: pytest.CaptureFixture[str]) -> None:
    JsonLines().noted("orders", "batch 1: recovered")
    JsonLines().committed(RESULT)

    shown = capsys.readouterr()
    assert shown.err == "orders: batch 1: recovered\n"
    assert shown.out.startswith('{"pipeline": "orders", "batch_id": 4, ')
    assert shown.out.count("\n") == 1


@pytest.mark.parametrize(("as_json", "kind"), [(True, JsonLines), (False, Lines)])
def test_without_a_terminal_there_is_no_bar(as_json: bool, kind: type) -> None:
    with reporting(as_json=as_json) as reporter:
        assert type(reporter) is kind
