"""What a query cannot hold, each with what to write instead."""

from __future__ import annotations

from typing import Any

from etl.errors import ConfigError
from etl.expressions import draft_of

_SORTED = "rows of a table have no order; sort where you read: etl query"
_FIRST = "which rows come first depends on the batch; sort and limit where you read: etl query"
_OVER = (
    "it needs rows that are still to come; aggregate in windows of time (GROUP BY … TUMBLE), keep one row per key with "
    "the transform deduplicate, or use the transform stateful"
)
_ONE_SELECT = "write SELECT … FROM input WHERE … GROUP BY … HAVING …"

CLAUSES: dict[str, tuple[str, str]] = {
    "laterals": ("LATERAL", "to open a list use the transform explode"),
    "windows": ("WINDOW", _OVER),
    "qualify": ("QUALIFY", _OVER),
    "order": ("ORDER BY", _SORTED),
    "limit": ("LIMIT", _FIRST),
    "offset": ("OFFSET", _FIRST),
    "sample": ("TABLESAMPLE", "use the transform sample"),
    "pivots": (
        "PIVOT",
        "use the transform unpivot, or CASE in an aggregate: SUM(CASE WHEN kind = 'a' THEN amount END)",
    ),
    "into": ("INTO", "where rows go says the sink of the pipeline"),
    "locks": ("FOR UPDATE", "a query only reads"),
    "fetch": ("FETCH", _FIRST),
}
"""Clause of a tree to its name and the alternative."""

TAKEN = {"with_", "expressions", "distinct", "from_", "joins", "where", "group", "having"}
SETS = {
    "intersect": "join with the table instead: SEMI JOIN silver.users ON …",
    "except": "a row could be taken back by a later batch; join with a table instead: ANTI JOIN silver.users ON …",
}
_SUB_QUERY = "a sub-query stands in FROM; to look into a table, join it: SEMI JOIN or ANTI JOIN silver.users ON …"
_GROUPINGS = {
    "rollup": "ROLLUP",
    "cube": "CUBE",
    "groupingsets": "GROUPING SETS",
    "grouping_sets": "GROUPING SETS",
    "totals": "WITH TOTALS",
}


def refuse_clauses(query: Any) -> None:  # noqa: ANN401  a node of a lazily imported library
    """Refuse the clauses that no step carries out. Raises ConfigError."""
    for clause, value in query.args.items():
        if value and clause not in TAKEN:
            word, hint = CLAUSES.get(clause, (clause.strip("_").upper(), _ONE_SELECT))
            raise ConfigError(f"{word} cannot stand in `sql`", hint=hint)
    distinct = query.args.get("distinct")
    if distinct and distinct.args.get("on"):
        raise ConfigError(
            "DISTINCT ON cannot stand in `sql`", hint="say which row stays: deduplicate: {keys: [a], keep: first}"
        )
    if query.args.get("with_") and query.args["with_"].args.get("recursive"):
        raise ConfigError("WITH RECURSIVE cannot stand in `sql`", hint="its end is not known before all rows are")


def refuse_groupings(group: Any) -> None:  # noqa: ANN401
    """Refuse several groupings at once. Raises ConfigError."""
    found = [key for key in ("grouping_sets", "rollup", "cube", "totals") if group.args.get(key)]
    found += [item.key for item in group.expressions if item.key in _GROUPINGS]
    if found:
        raise ConfigError(
            f"{_GROUPINGS[found[0]]} cannot stand in `sql`", hint="write a pipeline for each of the groupings"
        )


def refuse_inner_queries(tree: Any, clause: str) -> None:  # noqa: ANN401
    """Refuse sub-queries and OVER in an expression. Raises ConfigError."""
    for node in tree.walk():
        if node.key == "exists":
            raise ConfigError(f"EXISTS cannot stand in {clause}", hint=_SUB_QUERY)
        if node.key == "in" and node.args.get("query"):
            word, join = ("NOT IN", "ANTI JOIN") if node.parent and node.parent.key == "not" else ("IN", "SEMI JOIN")
            raise ConfigError(
                f"{word} (SELECT …) cannot stand in {clause}", hint=f"join with the table: {join} silver.users ON …"
            )
        if node.key in ("subquery", "select", "any", "all"):
            raise ConfigError(f"a sub-query cannot stand in {clause}", hint=_SUB_QUERY)
        if node.key == "window":
            raise ConfigError(f"{shortened(node)}: OVER cannot stand in `sql`", hint=_OVER)


def shortened(node: Any) -> str:  # noqa: ANN401
    """Return a node as people wrote it, cut where it is long."""
    text = draft_of(node)
    return text if len(text) <= 60 else f"{text[:59]}…"  # noqa: PLR2004  about half a line
