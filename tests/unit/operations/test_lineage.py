from __future__ import annotations

from pathlib import Path

import pytest

from etl.config.wiring import wire
from etl.operations.lineage import Lineage, lineage_of
from etl.operations.workspace import Workspace
from etl.seam import Seam

ORDERS = (
    "schema: {order_id: string, user_id: string, amount: float64, at: timestamp(UTC), place: 'struct{city: string}'}"
)
HEAD = f"source: {{type: files, path: landing/*.ndjson, {ORDERS}}}\ntransforms:\n"
SINK = "sink: {type: delta, table: silver.orders}\n"


def lineage(folder: Path, text: str) -> Lineage:
    """Return the lineage of a pipeline file."""
    (folder / "pipelines").mkdir()
    (folder / "pipelines" / "orders.yml").write_text(text)
    workspace = Workspace(folder)
    (spec,) = workspace.specs()
    found = lineage_of(wire(spec, workspace.project, Seam()), Seam())
    assert found is not None
    return found


def origins(folder: Path, transforms: str) -> dict[str, list[str]]:
    """Return the columns of a result with the columns of the source that they come from."""
    whole = SINK.replace("}", ", write_mode: overwrite}")  # what an unwindowed GROUP BY needs
    found = lineage(folder, HEAD + transforms + (whole if "GROUP BY" in transforms else SINK))
    return {
        name: [origin.column for origin in each] for name, each in found.origins.items() if not name.startswith("_")
    }


@pytest.mark.parametrize(
    ("transforms", "expected"),
    [
        (
            "  - filter: amount >= 0\n  - rename: {amount: net, at: amount}\n  - drop: [place, user_id]\n",
            {"order_id": ["order_id"], "net": ["amount"], "amount": ["at"]},
        ),
        (
            (
                "  - with_columns: {net: amount * 2, city: UPPER(place.city), one: '1'}\n"
                "  - select: {label: \"COALESCE(city, user_id) || 'x'\", net: net, one: one}\n"
            ),
            {"label": ["place", "user_id"], "net": ["amount"], "one": []},
        ),
        (
            "  - sql: SELECT order_id, CASE WHEN amount > 1 THEN user_id END AS who FROM input WHERE at IS NOT NULL\n",
            {"order_id": ["order_id"], "who": ["amount", "user_id"]},
        ),
        (
            "  - sql: SELECT user_id, SUM(amount) AS revenue, COUNT(*) AS orders FROM input GROUP BY user_id\n",
            {"user_id": ["user_id"], "revenue": ["amount"], "orders": []},
        ),
        (
            (
                "  - watermark: {column: at, delay: 1m}\n"
                "  - group_by: {by: {who: LOWER(user_id)}, window: {column: at, every: 1h}, "
                "aggregate: {big: SUM(amount) FILTER (WHERE order_id > 'b')}}\n"
            ),
            {"who": ["user_id"], "window_start": ["at"], "window_end": ["at"], "big": ["amount", "order_id"]},
        ),
        (
            (
                "  - select: [order_id, user_id, place]\n  - unnest: [place]\n"
                "  - unpivot: {on: [user_id, city], index: [order_id]}\n"
            ),
            {"order_id": ["order_id"], "variable": ["place", "user_id"], "value": ["place", "user_id"]},
        ),
        (
            (
                "  - select: [order_id, user_id]\n"
                "  - parse: {column: user_id, format: {regex: '(?P<area>[a-z]+)-(?P<number>[0-9]+)'}}\n"
            ),
            {"order_id": ["order_id"], "user_id": ["user_id"], "area": ["user_id"], "number": ["user_id"]},
        ),
    ],
)
def test_columns_come_from_those_that_they_are_computed_from(
    tmp_path: Path, transforms: str, expected: dict[str, list[str]]
) -> None:
    assert origins(tmp_path, transforms) == expected


def test_any_column_of_a_function_may_come_from_any_other(tmp_path: Path) -> None:
    (tmp_path / "transforms").mkdir()
    (tmp_path / "transforms" / "shop.py").write_text("def same(rows):\n    return rows\n")

    found = origins(tmp_path, "  - select: [order_id, amount]\n  - python: shop:same\n")

    assert found == {"order_id": ["amount", "order_id"], "amount": ["amount", "order_id"]}


def test_columns_of_joined_sources_and_static_tables_are_told_with_their_place(tmp_path: Path) -> None:
    (tmp_path / "users.csv").write_text("user_id,name\nu1,Ada\n")
    text = f"""
sources:
  orders: {{type: files, path: orders/*.ndjson, {ORDERS}}}
  refunds: {{type: files, path: refunds/*.ndjson, schema: {{order_id: string, amount: float64}}}}
transforms:
  - select: [order_id, user_id, amount]
  - join: {{path: users.csv, on: user_id, columns: {{name: who}}}}
  - join_stream: {{with: refunds, on: [order_id], columns: {{amount: refunded}}}}
  - with_columns: {{net: amount - refunded}}
{SINK}"""

    found = lineage(tmp_path, text)

    assert {
        name: [(each.source or Path(each.static).name, each.column) for each in of]
        for name, of in found.origins.items()
    } == {
        "order_id": [("orders", "order_id")],
        "user_id": [("orders", "user_id")],
        "amount": [("orders", "amount")],
        "who": [("users.csv", "name")],
        "refunded": [("refunds", "amount")],
        "net": [("orders", "amount"), ("refunds", "amount")],
        "_batch_id": [],
    }
    assert found.sources["refunds"] == {"order_id": "string", "amount": "float64"}
    assert found.result["net"] == "float64"


def test_a_union_has_its_columns_from_all_of_its_sources(tmp_path: Path) -> None:
    text = f"""
sources:
  shop: {{type: files, path: shop/*.ndjson, schema: {{id: string}}}}
  web: {{type: files, path: web/*.ndjson, schema: {{id: string, page: string}}}}
transforms:
  - union: {{with: [web]}}
{SINK}"""

    found = lineage(tmp_path, text)

    assert [(each.source, each.column) for each in found.origins["id"]] == [("shop", "id"), ("web", "id")]
    assert [(each.source, each.column) for each in found.origins["page"]] == [("web", "page")]


def test_nothing_is_told_before_the_columns_are_known(tmp_path: Path) -> None:
    (tmp_path / "pipelines").mkdir()
    (tmp_path / "pipelines" / "orders.yml").write_text(f"source: {{type: files, path: landing/*.ndjson}}\n{SINK}")
    workspace = Workspace(tmp_path)
    (spec,) = workspace.specs()

    assert lineage_of(wire(spec, workspace.project, Seam()), Seam()) is None
