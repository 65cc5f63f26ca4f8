"""Fixtures of the fault tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.faults.s3_lab import Store


@pytest.fixture(scope="module")
def store(s3_endpoint: str) -> Iterator[Store]:
    """A bucket behind a proxy with faults, for the tests of one module."""
    made = Store(s3_endpoint)
    yield made
    made.proxy.close()
