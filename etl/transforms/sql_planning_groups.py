"""GROUP BY, HAVING and aggregates of a query: planned onto ``group_by``, ``filter`` and ``select``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from etl.errors import ConfigError
from etl.expressions import column_name, text_of
from etl.transforms.sql_planning_aggregates import aggregate_text, aggregates_in, is_aggregate
from etl.transforms.sql_planning_parts import (
    PlannedStep,
    Rows,
    Scope,
    column,
    kept,
    same_text,
    select_step,
)
from etl.transforms.sql_planning_refusals import refuse_groupings, shortened
from etl.transforms.sql_planning_windows import BOUNDS, is_window, window_options

Items = Sequence[tuple[str, Any]]
"""The SELECT list: name and tree of each item."""

_ROWS = "COUNT(*)"
_WORDS = ("identifier", "var", "datatype", "datatypeparam")


@dataclass(slots=True)
class _Grouping:
    """What a query is grouped by.

    ``keys`` has the name of each key by the text that it is known by, ``computed`` the text of those that are no plain
    columns, by name. ``absent`` are names in GROUP BY that mean an item of the SELECT list.
    """

    keys: dict[str, str] = field(default_factory=dict)
    computed: dict[str, str] = field(default_factory=dict)
    window: dict[str, str] | None = None
    absent: list[str] = field(default_factory=list)


def is_grouped(query: Any) -> bool:  # noqa: ANN401  a node of a lazily imported library
    """Tell whether a query aggregates."""
    return bool(query.args.get("group") or query.args.get("having") or aggregates_in(query.expressions))


def grouped(query: Any, items: Items, having: Any, rows: Rows, scope: Scope) -> Rows:  # noqa: ANN401
    """Return the rows of a query that aggregates. ``items`` and ``having`` name plain columns. Raises ConfigError."""
    grouping = _grouping(query, items)
    found = aggregates_in([*(tree for _, tree in items), *([having] if having is not None else [])])
    if not found and grouping.window is None and grouping.keys and rows.keys is None:
        names = {}
        rows = distinct(_computed(grouping, rows), list(grouping.keys.values()), scope, "GROUP BY")
    else:
        names = _aggregate_names(found, items, grouping)
        aggregates = {names[text]: aggregate_text(node) for text, node in found.items()}
        rows = _aggregated(grouping, aggregates, _computed(grouping, rows), scope)
    if having is not None:
        predicate = _over_groups(having, grouping, names, dict(items))
        rows = rows.then(PlannedStep("filter", text_of(predicate), "HAVING"))
    return _selected(items, grouping, names, rows)


def distinct(rows: Rows, names: Sequence[str], scope: Scope, clause: str = "DISTINCT") -> Rows:
    """Return the rows without those that have the same ``names``: such as were there before are dropped.

    With the column of event time among them, state goes with the watermark. Of a changing result every row is there
    once, found by its keys. Where the sink takes the whole result, the names are grouped by, to have all of them.
    """
    if rows.keys is not None:
        return rows
    if scope.is_whole:
        grouping = _Grouping({name: name for name in names})
        return _aggregated(grouping, {}, rows, scope).then(select_step([(name, column(name)) for name in names]))
    is_timeless = scope.time not in names
    return rows.then(PlannedStep("deduplicate", {"keys": list(names)}, clause, is_timeless=is_timeless))


def _computed(grouping: _Grouping, rows: Rows) -> Rows:
    computed = dict(grouping.computed)
    return rows.then(PlannedStep("with_columns", computed, "GROUP BY")) if computed else rows


def _aggregated(grouping: _Grouping, aggregates: Mapping[str, str], rows: Rows, scope: Scope) -> Rows:
    options: dict[str, Any] = {"by": list(grouping.keys.values())}
    if grouping.window is not None:
        options["window"] = grouping.window
    options["aggregate"] = dict(aggregates) or {_ROWS: _ROWS}
    step = PlannedStep("group_by", options, "GROUP BY", tuple(grouping.absent))
    is_final = scope.is_whole or (grouping.window is not None and scope.time)
    start = () if grouping.window is None else BOUNDS[:1]
    return Rows((*rows.steps, step), keys=None if is_final else (*grouping.keys.values(), *start))


def _grouping(query: Any, items: Items) -> _Grouping:  # noqa: ANN401
    group = query.args.get("group")
    found = _Grouping()
    if group is None:
        return found
    refuse_groupings(group)
    wanted = list(group.expressions)
    if group.args.get("all"):
        wanted = [tree for _, tree in items if not aggregates_in([tree])]
    for tree in wanted:
        _add_key(found, _meant(tree, items, found))
    return found


def _meant(tree: Any, items: Items, found: _Grouping) -> Any:  # noqa: ANN401
    """Return what an entry of GROUP BY means: an item of the SELECT list by its number or name, or itself."""
    if tree.key == "literal" and not tree.is_string:
        place = int(tree.this) if str(tree.this).isdigit() else 0
        if not 1 <= place <= len(items):
            raise ConfigError(f"GROUP BY {tree.this}: there is no such item in SELECT", hint="write the expression")
        return items[place - 1][1]
    name = column_name(tree)
    item = dict(items).get(name) if name is not None else None
    if item is None or name in _columns_of(item) or aggregates_in([item]):
        return tree
    found.absent.append(str(name))
    return item


def _columns_of(tree: Any) -> set[str]:  # noqa: ANN401
    return {node.parts[0].name for node in tree.walk() if node.key == "column"}


def _add_key(found: _Grouping, tree: Any) -> None:  # noqa: ANN401
    if is_window(tree):
        if found.window is not None:
            raise ConfigError("two windows in GROUP BY", hint="write a query for each")
        moment = tree.expressions[0] if tree.expressions else column("ts")
        found.window = window_options(tree, _named(found, moment))
        return
    if aggregates_in([tree]) or any(is_window(node) for node in tree.walk()):
        raise ConfigError(
            f"{shortened(tree)} cannot stand in GROUP BY",
            hint="group by columns, expressions over one row, a window",
        )
    if tree.key in ("tuple", "star"):
        raise ConfigError(f"GROUP BY {shortened(tree)}", hint="name the columns, without parentheses around them")
    if (name := column_name(tree)) in BOUNDS and found.window is not None:
        raise ConfigError(f"{name} in GROUP BY", hint="the window is a key already; leave it out")
    found.keys[same_text(tree)] = _named(found, tree)


def _named(found: _Grouping, tree: Any) -> str:  # noqa: ANN401
    """Return the name of a column, or the one that an expression gets before the rows are grouped: its text."""
    name = column_name(tree)
    if name is None:
        name = text_of(tree)
        found.computed[name] = name
    return name


def _aggregate_names(found: Mapping[str, Any], items: Items, grouping: _Grouping) -> dict[str, str]:
    """Return what each aggregate is called: as its item of the SELECT list, where it is one, else its own text."""
    taken = {*grouping.keys.values(), *BOUNDS}
    items_by_text = {same_text(tree): name for name, tree in reversed(items) if is_aggregate(tree)}
    names = {}
    for text, node in found.items():
        name = items_by_text.get(text, "")
        names[text] = name if name and name not in taken else aggregate_text(node)
        taken.add(names[text])
    return names


def _selected(items: Items, grouping: _Grouping, names: Mapping[str, str], rows: Rows) -> Rows:
    selected = [(name, _over_groups(tree, grouping, names, None)) for name, tree in items]
    keys = None if rows.keys is None else kept(rows.keys, selected)
    return rows.then(select_step(selected), keys=keys)


def _over_groups(
    tree: Any,  # noqa: ANN401
    grouping: _Grouping,
    names: Mapping[str, str],
    aliases: Mapping[str, Any] | None,
) -> Any:  # noqa: ANN401
    """Return an expression over the columns of groups. ``aliases``: items of the SELECT list that it may name."""
    from sqlglot.expressions import Paren

    known = {**grouping.keys, **names}

    def change(node: Any) -> Any:  # noqa: ANN401
        if is_window(node):
            raise ConfigError(f"{shortened(node)} in SELECT", hint="name the columns window_start and window_end")
        if node.key in _WORDS:
            return node
        if node.key not in ("column", "star") and not is_aggregate(node) and same_text(node) not in grouping.keys:
            return node
        if node.key != "star" and (name := known.get(same_text(node))) is not None:
            return column(name)
        plain = column_name(node) if node.key == "column" else None
        if plain in BOUNDS and grouping.window is not None:
            return node
        if plain is not None and aliases and plain in aliases and column_name(aliases[plain]) != plain:
            meant = _over_groups(aliases[plain], grouping, names, None)
            return meant if meant.key == "column" else Paren(this=meant)
        raise ConfigError(
            f"{shortened(node)} is neither in GROUP BY nor in an aggregate",
            hint=f"add it to GROUP BY, or write ANY_VALUE({shortened(node)})",
        )

    return tree.copy().transform(change)
