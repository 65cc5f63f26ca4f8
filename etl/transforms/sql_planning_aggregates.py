"""Aggregates of a query: found in its expressions, and written as ``group_by`` takes them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from etl.errors import ConfigError
from etl.expressions import text_of
from etl.transforms.sql_planning_parts import outer_nodes, same_text
from etl.vocabulary import AGGREGATES


def is_aggregate(node: Any) -> bool:  # noqa: ANN401  a node of a lazily imported library
    """Tell whether a node is an aggregate, with its FILTER where it has one; also one that ``group_by`` will refuse."""
    return node.key in ("filter", "withingroup") or (
        node.key == "anonymous" and isinstance(node.this, str) and node.this.upper() in AGGREGATES
    )


def aggregates_in(trees: Iterable[Any]) -> dict[str, Any]:
    """Return the aggregates of expressions in order, each once, by the text that they are known by."""
    found: dict[str, Any] = {}
    for tree in trees:
        for node in outer_nodes(tree, is_aggregate):
            found.setdefault(same_text(node), node)
    return found


def aggregate_text(node: Any) -> str:  # noqa: ANN401
    """Return an aggregate as ``group_by`` takes it, which judges it. Raises ConfigError for one within another."""
    call = node.this if node.key in ("filter", "withingroup") else node
    if call.key != "anonymous":
        raise ConfigError(f"{text_of(call)} is no aggregate", hint="an aggregate stands before FILTER")
    if aggregates_in(call.expressions):
        raise ConfigError(
            f"an aggregate in {str(call.this).upper()}",
            hint="the inner one stands in a query of its own: FROM (SELECT … GROUP BY …) AS g",
        )
    return text_of(node)
