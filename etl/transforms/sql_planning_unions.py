"""UNION of sources: planned onto ``union``, and one SELECT over all of them."""

from __future__ import annotations

from typing import Any

from etl.errors import ConfigError
from etl.expressions import draft_of
from etl.transforms.sql_planning_parts import PlannedStep, Rows, Scope, resolved
from etl.transforms.sql_planning_refusals import refuse_clauses, shortened

_ALTERNATIVE = "give the source transforms of its own (sources.NAME.transforms), and write the same SELECT for each"


def union(query: Any, scope: Scope) -> tuple[Any, PlannedStep, tuple[str, ...]]:  # noqa: ANN401
    """Return the SELECT that all parts of a UNION have in common, the step that unites, and the names of the sources.

    Raises ConfigError where a part is more than columns of a source, or another one than the first.
    """
    selects = _parts(query, is_distinct=bool(query.args.get("distinct")), is_by_name=bool(query.args.get("by_name")))
    names = [_source_of(select, scope) for select in selects]
    others = [name for name in names if name not in scope.inputs]
    if len(others) != len(names) - 1 or len(set(others)) != len(others):
        raise ConfigError(
            f"UNION of {', '.join(names)}", hint=f"each source once, {scope.inputs[-1]} among them: it is the main one"
        )
    texts = {_text(select, name) for select, name in zip(selects, names, strict=True)}
    if len(texts) > 1:
        raise ConfigError(f"UNION of different SELECTs: {' and '.join(sorted(texts))}", hint=_ALTERNATIVE)
    return selects[0], PlannedStep("union", {"with": others}, "UNION"), (*scope.inputs, *others)


def _parts(query: Any, *, is_distinct: bool, is_by_name: bool) -> list[Any]:  # noqa: ANN401
    """Return the SELECTs of a UNION, in order."""
    while query.key in ("subquery", "paren"):
        query = query.this
    if query.key == "select":
        _refuse_more(query, is_by_name=is_by_name)
        return [query]
    if query.key != "union":
        raise ConfigError(f"{query.key.upper()} in a UNION", hint=_ALTERNATIVE)
    if bool(query.args.get("distinct")) != is_distinct or bool(query.args.get("by_name")) != is_by_name:
        raise ConfigError("UNION and UNION ALL, or BY NAME and not, in one query", hint="write the same for all")
    halves = (query.this, query.expression)
    return [part for half in halves for part in _parts(half, is_distinct=is_distinct, is_by_name=is_by_name)]


def _refuse_more(select: Any, *, is_by_name: bool) -> None:  # noqa: ANN401
    refuse_clauses(select)
    for clause in ("with_", "distinct", "joins", "group", "having"):
        if select.args.get(clause):
            raise ConfigError(
                f"{clause.strip('_').upper()} in a part of a UNION",
                hint="write it over all of them: SELECT … FROM (SELECT … UNION ALL SELECT …) AS rows GROUP BY …",
            )
    if not is_by_name and any(item.key == "star" for item in select.expressions):
        raise ConfigError(
            "* in a UNION, whose columns go by their place", hint="name the columns, or write UNION ALL BY NAME"
        )


def _source_of(select: Any, scope: Scope) -> str:  # noqa: ANN401
    source = select.args.get("from_")
    table = source.this if source else None
    known = (*scope.inputs, *scope.sources)
    if table is None or table.key != "table" or table.args.get("db") or table.name not in known:
        raise ConfigError(
            f"UNION with {shortened(table) if table else 'nothing'}", hint=f"sources are {', '.join(known)}"
        )
    return str(table.name)


def _text(select: Any, name: str) -> str:  # noqa: ANN401
    """Return columns and condition of a part, without the name of its source."""
    table = select.args["from_"].this
    rows = Rows(names=(name, *([table.alias] if table.alias else [])))
    where = select.args.get("where")
    columns = ", ".join(draft_of(resolved(item, rows)) for item in select.expressions)
    return f"{columns}{f' WHERE {draft_of(resolved(where.this, rows))}' if where else ''}"
