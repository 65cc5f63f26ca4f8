"""A query planned onto the transforms that carry it out, batch by batch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from etl.errors import ConfigError
from etl.expressions import column_name, parse, text_of
from etl.sql_writer import TABLE
from etl.transforms.columns import system_columns
from etl.transforms.sql_planning_aggregates import aggregates_in
from etl.transforms.sql_planning_groups import distinct, grouped, is_grouped
from etl.transforms.sql_planning_joins import joined
from etl.transforms.sql_planning_parts import (
    PlannedStep,
    Rows,
    Scope,
    column,
    kept,
    refuse_twice,
    resolved,
    select_step,
)
from etl.transforms.sql_planning_refusals import SETS, refuse_clauses, refuse_inner_queries, shortened
from etl.transforms.sql_planning_unions import union
from etl.vocabulary import nearest

_MORE = ("with_", "distinct", "joins", "group", "having")


def planned(text: str, scope: Scope) -> list[PlannedStep]:
    """Return the steps that carry out a query, in order; one that goes row by row is one step, ``sql`` as it stands.

    Raises ConfigError that names the clause and the alternative.
    """
    query = parse(text.strip().removesuffix(";"))
    if _is_rowwise(query):
        for tree in (*query.args.get("expressions", ()), *filter(None, [query.args.get("where")])):
            refuse_inner_queries(tree, tree.key.upper() if tree.key == "where" else "SELECT")
        return [PlannedStep("sql", text, "")]
    return list(_Planner(scope).query(query, scope).steps)


def tables_in(text: str) -> list[str]:
    """Return all that a query reads by name, sorted; nothing where it cannot be read as SQL.

    >>> tables_in("SELECT id FROM orders JOIN silver.users ON orders.user_id = users.id")
    ['orders', 'silver.users']
    """
    from sqlglot.expressions import CTE, Table

    try:
        query: Any = parse(text.strip().removesuffix(";"))
    except ConfigError:
        return []
    common = {each.alias for each in query.find_all(CTE)}
    names = {".".join(part.name for part in table.parts) for table in query.find_all(Table)}
    return sorted(names - common)


def _is_rowwise(query: Any) -> bool:  # noqa: ANN401  a node of a lazily imported library
    """Tell whether the transform ``sql`` itself carries the query out, or refuses it."""
    if query.key != "select":
        return query.key not in ("union", *SETS)
    source = query.args.get("from_")
    reads_input = source is None or (source.this.key == "table" and source.this.name == TABLE)
    return (
        reads_input
        and not any(query.args.get(clause) for clause in _MORE)
        and not any(aggregates_in(query.expressions))
    )


class _Planner:
    """Plans the parts of one query; each of its WITH queries is used once, as rows flow one way."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._common: dict[str, Any] = {}
        self._used: set[str] = set()

    def query(self, query: Any, scope: Scope) -> Rows:  # noqa: ANN401
        """Return the rows of a query. Raises ConfigError."""
        self._take_common(query)
        if query.key in SETS:
            raise ConfigError(f"{query.key.upper()} cannot stand in `sql`", hint=SETS[query.key])
        if query.key == "union":
            return self._union(query, scope)
        if query.key != "select":
            raise ConfigError(f"{shortened(query)} is no query", hint="write SELECT … FROM input")
        return self._select(query, scope)

    def _take_common(self, query: Any) -> None:  # noqa: ANN401
        common = query.args.get("with_")
        for each in common.expressions if common else ():
            if each.args["alias"].args.get("columns"):
                raise ConfigError(f"WITH {each.alias} (…) AS", hint="name the columns in its SELECT list: … AS name")
            if each.alias in self._common:
                raise ConfigError(f"WITH {each.alias} twice", hint="give one of them another name")
            self._common[each.alias] = each.this

    def _union(self, query: Any, scope: Scope) -> Rows:  # noqa: ANN401
        select, step, names = union(query, self._scope)
        table = select.args["from_"].this
        rows = self._over(select, Rows((step,), (*names, table.alias_or_name)), scope)
        if not query.args.get("distinct"):
            return rows
        return distinct(rows, [name for name, _ in _named_items(select.expressions, rows)], scope, "UNION")

    def _select(self, query: Any, scope: Scope) -> Rows:  # noqa: ANN401
        refuse_clauses(query)
        source = query.args.get("from_")
        if source is None:
            raise ConfigError("reads from nothing", hint="the query sees the rows as `input`: SELECT … FROM input")
        is_streamed = any(not join.this.args.get("db") for join in query.args.get("joins") or ())
        is_last = not (query.args.get("distinct") or is_streamed or is_grouped(query))
        inner = scope if is_last else replace(scope, is_whole=False)
        rows = self._relation(source.this, inner)
        for join in query.args.get("joins") or ():
            rows = joined(join, query, rows, self._scope)
        return self._over(query, rows, scope)

    def _over(self, query: Any, rows: Rows, scope: Scope) -> Rows:  # noqa: ANN401
        """Return what WHERE, GROUP BY, HAVING, SELECT and DISTINCT make of the rows of FROM."""
        where, having = (query.args.get(clause) for clause in ("where", "having"))
        if where is not None:
            rows = rows.then(PlannedStep("filter", _predicate(where.this, rows, "WHERE"), "WHERE"))
        for item in query.expressions:
            refuse_inner_queries(item, "SELECT")
        if is_grouped(query):
            items = _named_items(query.expressions, rows)
            plain = query.copy()
            if group := plain.args.get("group"):
                group.set("expressions", [resolved(tree, rows) for tree in group.expressions])
            if having is not None:
                refuse_inner_queries(having.this, "HAVING")
                having = resolved(having.this, rows)
            rows = grouped(plain, items, having, rows, scope)
        else:
            rows = _projected(query, rows)
        if not query.args.get("distinct"):
            return rows
        return distinct(rows, [name for name, _ in _named_items(query.expressions, rows)], scope)

    def _relation(self, node: Any, scope: Scope) -> Rows:  # noqa: ANN401
        """Return the rows of what stands first in FROM."""
        alias = (node.alias,) if node.alias else ()
        if node.key == "subquery":
            _refuse_parts(node, ("this", "alias"))
            return replace(self.query(node.this, scope), names=alias, renamed={}, added=())
        if node.key != "table" or node.this.key != "identifier":
            raise ConfigError(f"reads from {shortened(node)}", hint="FROM input, or a query in parentheses")
        _refuse_parts(node, ("this", "alias", "db", "catalog"))
        if node.name in self._common and not node.args.get("db"):
            if node.name in self._used:
                raise ConfigError(
                    f"{node.name} is read twice", hint="rows flow one way: write a pipeline for each that reads them"
                )
            self._used.add(node.name)
            rows = self.query(self._common[node.name], scope)
            return replace(rows, names=(node.name, *alias), renamed={}, added=())
        if node.args.get("db") or node.name not in scope.inputs:
            raise _not_the_input(node, scope, self._common)
        return Rows(names=(*scope.inputs, *alias))


def _not_the_input(node: Any, scope: Scope, common: Mapping[str, Any]) -> ConfigError:  # noqa: ANN401
    hint = f"the query sees the rows as `input`{nearest(node.name, [*scope.inputs, *common])}"
    if node.args.get("db"):
        hint = f"a table stands behind JOIN: FROM input JOIN {shortened(node)} ON …"
    elif node.name in scope.sources:
        hint = f"write FROM {scope.inputs[-1]} JOIN {node.name} ON …; or a UNION ALL of both"
    return ConfigError(f"reads from {shortened(node)}", hint=hint)


def _refuse_parts(node: Any, taken: tuple[str, ...]) -> None:  # noqa: ANN401
    for part, value in node.args.items():
        if value and part not in taken:
            raise ConfigError(f"{part.strip('_').upper()} cannot stand in `sql`", hint="write FROM input")


def _predicate(tree: Any, rows: Rows, clause: str) -> str:  # noqa: ANN401
    refuse_inner_queries(tree, clause)
    if any(aggregates_in([tree])):
        raise ConfigError(f"an aggregate in {clause}", hint="what groups must satisfy stands in HAVING")
    return text_of(resolved(tree, rows))


def _named_items(expressions: list[Any], rows: Rows) -> list[tuple[str, Any]]:
    """Return the SELECT list by name. Raises ConfigError for a star and for what has no name."""
    found = [_item(item, rows) for item in expressions]
    names = [name for name, _ in found]
    if "" in names:
        raise ConfigError("* in SELECT", hint="name the columns: rows are grouped by them")
    refuse_twice(names)
    return found


def _projected(query: Any, rows: Rows) -> Rows:  # noqa: ANN401
    """Return the columns of a SELECT list that goes row by row."""
    if rows.added and any(item.key == "star" for item in query.expressions):
        raise ConfigError("* of a JOIN", hint="name the columns, or all of the first: SELECT input.*, users.country")
    items = [_item(item, rows) for item in query.expressions]
    stars = [tree for name, tree in items if not name]
    if len(items) == len(stars) == 1 and not any(stars[0].args.values()):
        return rows
    named = [(name, tree) for name, tree in items if name]
    keys = None if rows.keys is None else kept(rows.keys, named, stars)
    if stars or system_columns(name for name, _ in named):
        return rows.then(PlannedStep("sql", _as_query(items), "SELECT"), keys=keys)
    return rows.then(select_step(named), keys=keys)


def _item(item: Any, rows: Rows) -> tuple[str, Any]:  # noqa: ANN401
    """Return the name of an item of the SELECT list, empty for a star, and its tree. Raises ConfigError."""
    tree = resolved(item.this if item.key == "alias" else item, rows)
    if tree.key == "star":
        return "", tree
    if item.key not in ("alias", "column"):
        raise ConfigError(f"{shortened(item)} has no name", hint="write: … AS name")
    return item.alias_or_name, tree


def _as_query(items: list[tuple[str, Any]]) -> str:
    from sqlglot.expressions import Alias, From, Identifier, Select, Table

    refuse_twice([name for name, _ in items if name])
    expressions = [
        Alias(this=tree, alias=column(name).this) if name and column_name(tree) != name else tree
        for name, tree in items
    ]
    return text_of(Select(expressions=expressions, from_=From(this=Table(this=Identifier(this=TABLE)))))
