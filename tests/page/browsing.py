"""A browser for tests: Debian's Chromium, or the one that CHROMIUM names."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

    from tests.asking import Asked


def chromium() -> str:
    """Return the path of a Chromium; without one the test is skipped, or fails where everything has to be there."""
    found = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None:
        missing = pytest.fail if os.environ.get("CI") or os.environ.get("ETL_REQUIRE_SERVERS") else pytest.skip
        missing("there is no chromium on the path")
        raise AssertionError  # neither returns
    return found


@contextmanager
def visiting(browser: Browser, asked: Asked, **options: Any) -> Iterator[Page]:
    """Have a page that is signed in; what its console complains about, or a foreign request, fails the test."""
    context = browser.new_context(**{"viewport": {"width": 1280, "height": 800}, **options})
    page = context.new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: complaints.append(request.url) if asked.host not in request.url else None)
    page.goto(f"http://{asked.host}/ui/sign-in?token={asked.page.site.access.token}")
    page.wait_for_url("**/ui/")
    yield page
    context.close()
    assert complaints == []


def addresses(asked: Asked) -> dict[str, str]:
    """Return every view by its name."""
    start = f"http://{asked.host}/ui"
    one = f"{start}/pipelines/orders"
    return {
        "overview": f"{start}/",
        "graph": f"{start}/graph",
        "pipeline": one,
        "batch": f"{one}/batches/1",
        "files": f"{one}/files",
        "quarantine": f"{one}/quarantine",
        "schema": f"{one}/schema",
        "table": f"{one}/table",
        "rewind": f"{one}/rewind?batch=0",
    }
