"""Fixtures that every test may ask for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import settings

if TYPE_CHECKING:
    import pytest

pytest_plugins = ("tests.servers", "tests.key_servers")

settings.register_profile("steady", derandomize=True)


def pytest_configure(config: pytest.Config) -> None:
    """Draw the same examples in every run; `make slow` draws new ones, and more of them."""
    if config.getoption("-m") != "slow":
        settings.load_profile("steady")
