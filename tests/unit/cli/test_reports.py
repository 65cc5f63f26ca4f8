from __future__ import annotations

from pathlib import Path
from typing import Any


def test_report_writes_a_file_that_needs_nothing_else(etl: Any, shop: Path) -> None:
    assert etl("run", "orders").exit_code == 0

    done = etl("report", "orders", "--output", str(shop / "out" / "orders.html"))

    text = (shop / "out" / "orders.html").read_text("utf-8")
    assert done.exit_code == 0
    assert text.startswith("<!doctype html>")
    assert "<h1>orders</h1>" in text
    assert "silver.orders" in text
    assert not any(word in text for word in ("<script", "src=", "href=", "@import", "url("))


def test_report_takes_the_place_of_an_older_one(etl: Any, shop: Path) -> None:
    target = shop / "orders.html"
    target.write_text("older")

    assert etl("report", "orders", "--output", str(target)).exit_code == 0

    text = target.read_text("utf-8")
    assert "No batch was committed yet." in text
    assert "does not exist yet" in text


def test_report_of_an_unknown_pipeline_is_refused(etl: Any, shop: Path) -> None:
    done = etl("report", "odrers", "--output", str(shop / "x.html"))

    assert done.exit_code == 2
    assert "orders" in done.stderr
    assert not (shop / "x.html").exists()


def test_report_that_cannot_be_written_says_so(etl: Any, shop: Path) -> None:
    (shop / "file").write_text("")

    done = etl("report", "orders", "--output", str(shop / "file" / "orders.html"))

    assert done.exit_code == 2
    assert "orders.html" in done.stderr
    assert "Traceback" not in done.stderr
