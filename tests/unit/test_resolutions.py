"""Which pipelines rows of the quarantine cannot be sent through again."""

from __future__ import annotations

import pytest

from etl.errors import ConfigError
from etl.flow import Flow
from etl.resolutions import refuse_replacing
from etl.testing import MemorySink, MemorySource


@pytest.mark.parametrize(
    ("mode", "message"),
    [
        ("overwrite", "these rows would take the place of all others in the table: `write_mode: overwrite`"),
        ("replace_partitions", "these rows would take the place of their partitions: `write_mode: replace_partitions`"),
    ],
)
def test_rows_that_would_take_the_place_of_others_are_not_sent_again(mode: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        refuse_replacing(Flow("orders", "source", MemorySource(), (), MemorySink("t"), ()), mode)


@pytest.mark.parametrize("mode", ["append", "merge", "insert_only", "scd2"])
def test_rows_that_take_no_place_but_that_of_their_key_are_sent_again(mode: str) -> None:
    refuse_replacing(Flow("orders", "source", MemorySource(), (), MemorySink("t"), ()), mode)
