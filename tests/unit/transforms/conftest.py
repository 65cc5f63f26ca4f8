from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from etl.balance import Tally
from etl.errors import ConfigError
from etl.model import BatchPlan
from etl.transforms import TRANSFORMS
from etl.transforms.contract import Pinned, TransformSite

Apply = Callable[..., tuple[pl.DataFrame, dict[str, int]]]
Refuse = Callable[..., ConfigError]


@pytest.fixture
def make(tmp_path: Path) -> Callable[[str, Any], Any]:
    """Make a transform from its key and its YAML value, third in the list."""

    def made(key: str, value: object) -> Any:
        kind = TRANSFORMS[key]
        return kind(kind.options_model.model_validate(value), TransformSite(tmp_path, 2))

    return made


@pytest.fixture
def apply(make: Callable[[str, Any], Any]) -> Apply:
    """Pass a frame through a transform: the rows, and the counts that are not zero."""

    def applied(key: str, value: object, frame: pl.DataFrame) -> tuple[pl.DataFrame, dict[str, int]]:
        step, tally = make(key, value), Tally()
        pins = {step.pin_id: step.pin()} if isinstance(step, Pinned) else {}
        plan = BatchPlan(0, datetime(2024, 3, 5, tzinfo=UTC), {}, {}, "definition", pins=pins)
        announced = step.output_schema(frame.schema)
        rows = step.apply(frame.lazy(), plan, tally).collect()
        assert rows.schema == announced
        return rows, {fate: count for fate, count in tally.counts().items() if count}

    return applied


@pytest.fixture
def refuse(make: Callable[[str, Any], Any]) -> Refuse:
    """Return the refusal of a transform over a schema, which says where it stands."""

    def refused(key: str, value: object, schema: dict[str, Any]) -> ConfigError:
        with pytest.raises(ConfigError) as caught:
            make(key, value).output_schema(pl.Schema(schema))
        assert caught.value.where == f"transforms[2].{key}"
        assert caught.value.hint
        return caught.value

    return refused
