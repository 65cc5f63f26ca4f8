"""JOIN in a query: with a static table planned onto ``join``, with another source onto ``join_stream``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from etl.errors import ConfigError
from etl.expressions import column_name, text_of
from etl.transforms.sql_planning_bounds import Bounds, bound_of
from etl.transforms.sql_planning_parts import PlannedStep, Rows, Scope, resolved
from etl.transforms.sql_planning_refusals import refuse_inner_queries, shortened
from etl.vocabulary import nearest

_CLAUSE = "JOIN"
_STATIC = {"": "inner", "INNER": "inner", "LEFT": "left", "SEMI": "semi", "ANTI": "anti"}
_STREAM = {"": "inner", "INNER": "inner", "LEFT": "left", "RIGHT": "right", "FULL": "full", "SEMI": "semi"}


@dataclass(slots=True)
class _Join:
    """One JOIN, taken apart.

    ``names`` are those before a dot that mean the other side, ``label`` the one that its columns get. ``on`` has the
    columns that are equal, ``bounds`` how far apart in time a pair may be, ``rest`` all other conditions. ``computed``
    are columns to be made before, ``wanted`` what the columns of the other side that are asked for are called behind
    the join, ``same`` those that are columns of the own side.
    """

    node: Any
    names: tuple[str, ...]
    label: str
    how: str
    on: dict[str, str] = field(default_factory=dict)
    bounds: Bounds = field(default_factory=Bounds)
    asof: dict[str, str] = field(default_factory=dict)
    rest: list[Any] = field(default_factory=list)
    computed: dict[str, str] = field(default_factory=dict)
    wanted: dict[str, str] = field(default_factory=dict)
    same: dict[str, str] = field(default_factory=dict)

    def is_other(self, tree: Any) -> bool:  # noqa: ANN401
        """Tell whether a column of the other side stands in ``tree``."""
        return any(self.other_column(node) is not None for node in tree.walk() if node.key == "column")

    def other_column(self, node: Any) -> str | None:  # noqa: ANN401
        """Return the name of a column of the other side, None for anything else."""
        if node.key != "column":
            return None
        path = [part.name for part in node.parts]
        size = next((size for size in (2, 1) if ".".join(path[:size]) in self.names and len(path) > size), 0)
        return path[size] if size else None

    def want(self, name: str) -> str:
        """Return what a column of the other side is called behind the join."""
        return self.wanted.setdefault(name, f"{self.label}.{name}")


def joined(node: Any, query: Any, rows: Rows, scope: Scope) -> Rows:  # noqa: ANN401  nodes of a lazily imported library
    """Return ``rows`` joined as ``node`` says, a JOIN of ``query``. Raises ConfigError."""
    table = node.this
    _refuse_kinds(node, table)
    is_stream = not table.args.get("db") and table.name in scope.sources
    if not is_stream and not table.args.get("db"):
        raise ConfigError(
            f"JOIN {table.name}: no such source or table{nearest(table.name, scope.sources)}",
            hint="a table is named with its schema: JOIN silver.users ON …",
        )
    join = _opened(node, is_stream=is_stream)
    _read_conditions(join, rows, is_timed=is_stream)
    asked = [*_columns_of(query, node), *(each for tree in join.rest for each in _columns_in(tree))]
    if join.how not in ("semi", "anti"):
        _take_wanted(join, asked)
    if not is_stream:
        return _static(join, rows)
    _take_keys(join, asked)
    return _stream(join, rows)


def _take_wanted(join: _Join, asked: list[Any]) -> None:
    for node in asked:
        name = join.other_column(node)
        if name is None:
            continue
        if node.parts[-1].key == "star":
            raise ConfigError(f"{join.label}.* in SELECT", hint=f"name the columns: {join.label}.country, …")
        join.want(name)


def _take_keys(join: _Join, asked: list[Any]) -> None:
    """Take the columns that are equal, of which a join of two sources gives one. Raises ConfigError.

    Where one of both sides may be missing, it is the value of the other: no name of a side means it then.
    """
    for own, theirs in join.on.items():
        if theirs in join.wanted and join.how in ("left", "full"):
            raise ConfigError(
                f"{join.label}.{theirs} behind {join.how.upper()} JOIN",
                hint=f"it is there once, as {own}; whether there was a partner another column of {join.label} tells",
            )
        if join.wanted.pop(theirs, None) is not None:
            join.same[theirs] = own
        is_named = any(own == node.name and join.other_column(node) is None for node in asked)
        if join.how in ("right", "full") and is_named and not join.node.args.get("using"):
            raise ConfigError(
                f"{own} behind {join.how.upper()} JOIN … ON",
                hint=f"say USING ({own}), and {own} is that of either side",
            )


def _refuse_kinds(node: Any, table: Any) -> None:  # noqa: ANN401
    if table.key != "table" or table.this.key != "identifier":
        raise ConfigError(
            f"JOIN {shortened(table)}",
            hint="what is joined is a table (silver.users) or a source; prepare it in a pipeline of its own, or in "
            "sources.NAME.transforms",
        )
    kind, method = node.args.get("kind") or "", node.args.get("method") or ""
    if kind == "CROSS" or not (node.args.get("on") or node.args.get("using")):
        raise ConfigError("CROSS JOIN cannot stand in `sql`", hint="name the columns that are equal: JOIN … ON a = b")
    if method not in ("", "ASOF"):
        raise ConfigError(
            f"{method} JOIN cannot stand in `sql`", hint="name the columns that are equal: JOIN … USING (id)"
        )


def _opened(node: Any, *, is_stream: bool) -> _Join:  # noqa: ANN401
    table = node.this
    word = next((node.args[part] for part in ("kind", "side") if node.args.get(part) not in (None, "", "OUTER")), "")
    is_asof = node.args.get("method") == "ASOF"
    known = _STREAM if is_stream else _STATIC
    if word not in known or (is_asof and (is_stream or word not in ("", "INNER", "LEFT"))):
        what = "another source" if is_stream else "a table"
        hint = (
            "write LEFT JOIN, and WHERE refunds.id IS NULL"
            if word == "ANTI"
            else "ASOF JOIN is for tables; give bounds in time"
            if is_asof
            else "rows that come later could match what is in the table; write LEFT JOIN"
        )
        raise ConfigError(f"{'ASOF' if is_asof else word} JOIN with {what} cannot stand in `sql`", hint=hint)
    path = ".".join(part.name for part in table.parts)
    names = (table.alias,) if table.alias else (table.name, path)
    return _Join(node, names, names[0], "asof" if is_asof else known[word])


def _columns_of(query: Any, join: Any) -> Iterator[Any]:  # noqa: ANN401
    """Yield the columns that a query names, those of its inner queries and of one of its joins left out."""
    parts = [*query.expressions, *(each for each in query.args["joins"] if each is not join)]
    parts += [query.args[clause] for clause in ("where", "group", "having") if query.args.get(clause)]
    for part in parts:
        yield from _columns_in(part)


def _columns_in(tree: Any) -> Iterator[Any]:  # noqa: ANN401
    return (node for node in tree.walk() if node.key == "column")


def _read_conditions(join: _Join, rows: Rows, *, is_timed: bool) -> None:
    for name in join.node.args.get("using") or ():
        join.on[name.name] = name.name
    condition = join.node.args.get("on")
    if condition is None:
        return
    refuse_inner_queries(condition, "ON")
    for tree in _conjuncts(condition):
        is_taken = _take_equal(join, tree, rows) or (join.how == "asof" and _take_asof(join, tree, rows))
        if is_taken:
            continue
        found = bound_of(tree, join.other_column, rows) if is_timed else None
        if found is not None:
            join.bounds = join.bounds.within(found)
        if found is None or not found.is_exact:
            join.rest.append(tree)


def _conjuncts(tree: Any) -> Iterator[Any]:  # noqa: ANN401
    if tree.key == "and":
        yield from _conjuncts(tree.this)
        yield from _conjuncts(tree.expression)
    elif tree.key == "paren":
        yield from _conjuncts(tree.this)
    else:
        yield tree


def _take_equal(join: _Join, tree: Any, rows: Rows) -> bool:  # noqa: ANN401
    """Take ``own = other``, in either order; an expression over the own side becomes a column before the join."""
    if tree.key != "eq":
        return False
    for own, other in ((tree.this, tree.expression), (tree.expression, tree.this)):
        theirs = join.other_column(other)
        if theirs is None or join.is_other(own):
            continue
        plain = resolved(own, rows)
        name = column_name(plain)
        if name is None:
            name = text_of(plain)
            join.computed[name] = name
        if join.on.get(name, theirs) != theirs:
            return False
        join.on[name] = theirs
        return True
    return False


def _take_asof(join: _Join, tree: Any, rows: Rows) -> bool:  # noqa: ANN401
    """Take ``own >= other``, the last row of the table at or before the own one, or ``own <= other``."""
    words = {"gte": "backward", "lte": "forward"}
    swapped = {"gte": "forward", "lte": "backward"}
    for own, other, direction in (
        (tree.this, tree.args.get("expression"), words.get(tree.key)),
        (tree.args.get("expression"), tree.this, swapped.get(tree.key)),
    ):
        if direction is None or join.asof:
            return False
        theirs, mine = join.other_column(other), column_name(resolved(own, rows))
        if theirs is not None and mine is not None and not join.is_other(own):
            join.asof = {"column": mine, "other": theirs, "direction": direction}
            return True
    return False


def _static(join: _Join, rows: Rows) -> Rows:
    path = ".".join(part.name for part in join.node.this.parts)
    options: dict[str, Any] = {"table": path, "on": dict(join.on), "how": join.how}
    if join.how == "asof":
        if not join.asof:
            raise ConfigError("ASOF JOIN without a bound", hint="write ON … AND input.at >= rates.at")
        options["asof"] = join.asof
        proof = join.want(join.asof["other"])
    elif not join.on:
        raise ConfigError(f"JOIN {path} without equal columns", hint="write ON input.user_id = users.user_id")
    if join.how not in ("semi", "anti"):
        if not join.wanted:
            join.want(next(iter(join.on.values())))
        options["columns"] = dict(join.wanted)
    rows = _behind(join, rows, PlannedStep("join", options, _CLAUSE))
    if join.how != "asof" or join.node.args.get("side") == "LEFT":
        return rows
    return rows.then(PlannedStep("filter", text_of(_known(proof)), _CLAUSE))


def _known(name: str) -> Any:  # noqa: ANN401
    from sqlglot.expressions import Column, Identifier, Is, Not, Null

    return Not(this=Is(this=Column(this=Identifier(this=name, quoted=True)), expression=Null()))


def _stream(join: _Join, rows: Rows) -> Rows:
    name = join.node.this.name
    if not join.on:
        raise ConfigError(f"JOIN {name} without equal columns", hint="write ON orders.id = refunds.order AND …")
    options: dict[str, Any] = {"with": name, "on": dict(join.on), "how": join.how}
    within = join.bounds.options(name)
    if within is not None:
        options["within"] = within
    if join.how != "semi":
        options["columns"] = dict(join.wanted)
    return _behind(join, rows, PlannedStep("join_stream", options, _CLAUSE), keys=None)


def _behind(join: _Join, rows: Rows, step: PlannedStep, **changes: Any) -> Rows:  # noqa: ANN401  fields by name
    """Return the rows behind the step of a join; what else is asked of a pair is a filter, where each pair is a row."""
    if join.rest and join.how != "inner":
        raise ConfigError(
            f"{shortened(join.rest[0])} in ON of {join.how.upper()} JOIN",
            hint="such a join takes equal columns"
            + (" and bounds in time" if step.key == "join_stream" else "")
            + "; put a condition on the rows that come in into WHERE",
        )
    if join.computed:
        rows = rows.then(PlannedStep("with_columns", dict(join.computed), _CLAUSE))
    after = {**join.wanted, **join.same}
    renamed = {f"{name}.{theirs}": as_ for theirs, as_ in after.items() for name in join.names}
    rows = rows.then(
        step,
        names=(*rows.names, *join.names),
        renamed={**rows.renamed, **renamed},
        added=(*rows.added, *join.wanted.values()),
        **changes,
    )
    if not join.rest:
        return rows
    condition = " AND ".join(f"({text_of(resolved(tree, rows))})" for tree in join.rest)
    return rows.then(PlannedStep("filter", condition, _CLAUSE))
