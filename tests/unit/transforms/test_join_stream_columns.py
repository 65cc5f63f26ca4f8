"""Which columns of the other side come out of ``join_stream``, and under which names."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from etl.errors import ConfigError
from etl.transforms import TRANSFORMS
from etl.transforms.contract import TransformSite
from tests.stepping import Clock, walk

START = datetime(2024, 3, 5, tzinfo=UTC)
CLOCK = Clock(("ordered_at", "refunded_at"))
WITHIN = {"column": "ordered_at", "other": "refunded_at", "after": "10m"}
BATCH = (
    pl.DataFrame({"id": ["a"], "ordered_at": [START], "n": [1]}),
    pl.DataFrame({"id": ["a"], "refunded_at": [START + timedelta(minutes=3)], "n": [10]}),
)


def step(how: str, columns: Any) -> Any:
    kind: Any = TRANSFORMS["join_stream"]
    options = {"with": "refunds", "on": ["id"], "how": how, "within": WITHIN, "columns": columns}
    return kind(kind.options_model.model_validate(options), TransformSite(Path(), 1, has_watermark=True))


@pytest.mark.parametrize(
    ("columns", "names"),
    [
        (["refunded_at"], ["id", "ordered_at", "n", "refunded_at"]),
        ({"n": "r.n", "refunded_at": "at"}, ["id", "ordered_at", "n", "r.n", "at"]),
        ([], ["id", "ordered_at", "n"]),
    ],
)
@pytest.mark.parametrize("how", ["inner", "left", "full"])
def test_columns_of_the_other_side_are_chosen_and_named(how: str, columns: Any, names: list[str]) -> None:
    found = walk([step(how, columns)], [BATCH], CLOCK).rows()

    assert found.columns == names
    assert found.select(names[:3]).rows() == [("a", START, 1)]
    assert [value for name, value in found.to_dicts()[0].items() if name == "r.n"] == [10] * ("r.n" in names)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (["m"], "unknown column 'm'"),
        (["id"], "id of refunds is in `columns`"),
        (["n"], "two columns would be named 'n'"),
        ({"n": "_batch_id"}, "system column"),
    ],
)
def test_columns_that_cannot_come_out_are_refused(columns: Any, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        step("inner", columns).output_schema(BATCH[0].schema, BATCH[1].schema)

    assert message in caught.value.message
    assert caught.value.where == "transforms[1].join_stream"
