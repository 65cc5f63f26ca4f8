"""What a query is planned as: steps in the terms of a pipeline file, and the names of what they give."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from etl.errors import ConfigError
from etl.expressions import column_name, draft_of, text_of
from etl.sql_writer import TABLE


@dataclass(frozen=True, slots=True)
class PlannedStep:
    """One transform of a query: its ``key`` and its ``options`` as a pipeline file has them.

    ``clause`` is the part of the query that it carries out. ``absent`` are names that must not be columns of what it is
    given: the query means something else by them. ``is_timeless``: it must not go by event time.
    """

    key: str
    options: Any
    clause: str
    absent: tuple[str, ...] = ()
    is_timeless: bool = False


@dataclass(frozen=True, slots=True)
class Scope:
    """What is known where a query stands.

    ``main`` are the names of the rows that come in, beside ``input``; ``sources`` those of further sources.
    ``time`` is the column of event time, where a watermark stands before the query. ``is_whole``: the sink takes the
    whole result with every batch.
    """

    main: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    time: str = ""
    is_whole: bool = False

    @property
    def inputs(self) -> tuple[str, ...]:
        """All names of the rows that come in."""
        return (TABLE, *self.main)


@dataclass(frozen=True, slots=True)
class Rows:
    """What a part of a query gives, and the steps that make it.

    ``names`` are those before a dot that mean its rows; ``renamed`` tells of ``name.column`` what the column is called
    where it is not ``column``; ``added`` are the columns that joins have put beside those of the first relation.
    ``keys`` are those of a changing result, None where rows stay once they are there.
    """

    steps: tuple[PlannedStep, ...] = ()
    names: tuple[str, ...] = ()
    renamed: Mapping[str, str] = field(default_factory=dict)
    keys: tuple[str, ...] | None = None
    added: tuple[str, ...] = ()

    def then(self, *steps: PlannedStep, **changes: Any) -> Rows:  # noqa: ANN401  fields by name
        """Return what further steps make of it."""
        return replace(self, steps=(*self.steps, *steps), **changes)


def column(name: str) -> Any:  # noqa: ANN401  a node of a lazily imported library
    """Return a column as a tree, in quotes where its name is no plain word.

    >>> text_of(column("a")), text_of(column("SUM(a)"))
    ('a', '"SUM(a)"')
    """
    from sqlglot.expressions import Column, Identifier

    return Column(this=Identifier(this=name, quoted=not (name.isidentifier() and name.islower())))


def resolved(tree: Any, rows: Rows) -> Any:  # noqa: ANN401
    """Return ``tree`` with every ``name.column`` of ``rows`` as the plain column that it is."""
    return tree.transform(lambda node: _plain_column(node, rows) if node.key == "column" else node)


def _plain_column(node: Any, rows: Rows) -> Any:  # noqa: ANN401
    from sqlglot.expressions import Column

    parts = list(node.parts)
    known = next((size for size in (2, 1) if _dotted(parts[:size]) in rows.names and len(parts) > size), 0)
    if not known:
        return node
    new_name = rows.renamed.get(f"{_dotted(parts[:known])}.{parts[known].name}")
    path = [column(new_name).this if new_name else parts[known], *parts[known + 1 :]]
    if path[0].key == "star":
        return _without(path[0], rows.added)
    places = ("this", "table", "db", "catalog")
    return Column(**dict(zip(places, (part.copy() for part in reversed(path)), strict=False)))


def _without(star: Any, names: Sequence[str]) -> Any:  # noqa: ANN401
    """Return a star that leaves out ``names``, too."""
    found = star.copy()
    left_out = [*(found.args.get("except_") or ()), *(column(name) for name in names)]
    if left_out:
        found.set("except_", left_out)
    return found


def _dotted(parts: Sequence[Any]) -> str:
    return ".".join(part.name for part in parts)


def same_text(tree: Any) -> str:  # noqa: ANN401
    """Return a text by which two trees that mean the same are known, whether or not names stand in quotes."""
    plain = tree.copy()
    for name in plain.find_all(_identifier()):
        name.set("quoted", bool(name.this))
    while plain.key == "paren":
        plain = plain.this
    return draft_of(plain)


def _identifier() -> Any:  # noqa: ANN401
    from sqlglot.expressions import Identifier

    return Identifier


def outer_nodes(tree: Any, is_end: Callable[[Any], bool]) -> Iterator[Any]:  # noqa: ANN401
    """Yield the nodes of ``tree`` for which ``is_end`` is true, from left to right, without looking into them."""
    if is_end(tree):
        yield tree
        return
    for child in tree.iter_expressions():
        yield from outer_nodes(child, is_end)


def select_step(items: Sequence[tuple[str, Any]], clause: str = "SELECT") -> PlannedStep:
    """Return the step that gives named columns. Raises ConfigError for a name that comes twice."""
    refuse_twice([name for name, _ in items])
    return PlannedStep("select", {name: text_of(tree) for name, tree in items}, clause)


def refuse_twice(names: Sequence[str]) -> None:
    """Refuse a name that comes twice. Raises ConfigError."""
    for place, name in enumerate(names):
        if name in names[:place]:
            raise ConfigError(f"two columns would be named {name!r}", hint="give one of them another name: … AS name")


def kept(keys: Sequence[str], items: Sequence[tuple[str, Any]], stars: Sequence[Any] = ()) -> tuple[str, ...]:
    """Return the keys of a changing result under the names that a SELECT list gives them. Raises ConfigError."""
    left_out = [{each.name for each in star.args.get("except_") or ()} for star in stars]
    after = {name: name for name in keys if any(name not in names for names in left_out)}
    after.update({before: name for name, tree in reversed(items) if (before := column_name(tree)) is not None})
    lost = [name for name in keys if name not in after]
    if lost:
        raise ConfigError(
            f"SELECT leaves out {', '.join(lost)}",
            hint="groups change with every batch and are found by all that they are grouped by: name it in SELECT",
        )
    return tuple(after[name] for name in keys)
