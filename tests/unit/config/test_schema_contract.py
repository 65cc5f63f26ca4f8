from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from etl.config.loader import load_pipelines
from etl.project import default_project
from etl.schema_contract import EVOLVE, RESCUE, STRICT, SchemaContract


@pytest.mark.parametrize(
    ("keys", "contract"),
    [
        ("", EVOLVE),
        ("schema: {id: int64}", STRICT),
        ("schema: {id: int64}, schema_contract: rescue", RESCUE),
        ("schema_contract: {missing_columns: null, new_columns: fail}", SchemaContract("fail", "widen", "null")),
        ("schema_contract: {missing_columns: 'null'}", EVOLVE),
        (
            "schema: {id: int64}, schema_contract: {type_change: widen}",
            SchemaContract("quarantine", "widen", "null"),
        ),
    ],
)
def test_a_contract_is_a_word_or_each_policy_by_itself(
    keys: str, contract: SchemaContract, write: Callable[[str, str], Path], tmp_path: Path
) -> None:
    source = ", ".join(filter(None, ("type: files, path: a", keys)))
    write("pipelines/orders.yml", f"source: {{{source}}}\nsink: {{type: delta, table: silver.orders}}\n")

    (spec,) = load_pipelines(default_project(tmp_path))

    assert spec.source.contract == contract
