"""``sql``: a SELECT over ``input``, row by row; others are planned onto other transforms (``sql_planning``)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import RootModel

from etl.balance import Tally
from etl.errors import ConfigError
from etl.expressions import Columns, column_name, compile_columns, parse
from etl.model import BatchPlan
from etl.sql_writer import TABLE
from etl.transforms.columns import STRICT, kept_keys, refuse_reserved, refuse_twice, require, system_columns
from etl.transforms.contract import Origins, TransformSite
from etl.transforms.filter import kept_rows, predicate_mask
from etl.transforms.sql_planning import planned, tables_in
from etl.transforms.sql_planning_refusals import CLAUSES

if TYPE_CHECKING:
    import polars as pl

    from etl.expressions import Formula
    from etl.project import Project
    from etl.transforms.sql_planning_parts import Scope

_PLANNED = "it goes row by row; in a pipeline such a query is planned onto other transforms"
_CLAUSES = {
    **CLAUSES,
    "with_": ("WITH", _PLANNED),
    "distinct": ("DISTINCT", _PLANNED),
    "joins": ("JOIN", _PLANNED),
    "group": ("GROUP BY", _PLANNED),
    "having": ("HAVING", _PLANNED),
}
_TAKEN = {"expressions", "from_", "where"}


class SqlOptions(RootModel[str]):
    """The query."""

    model_config = STRICT

    def keys(self, scope: Scope) -> tuple[str, ...]:
        """Return the keys of the transforms that it is planned onto, none where it is refused."""
        try:
            return tuple(step.key for step in planned(self.root, scope))
        except ConfigError:
            return ()

    def read_urls(self, project: Project) -> tuple[str, ...]:
        """Return the tables that it joins, whole: whose pipelines must come first. Raises ConfigError."""
        return tuple(project.table_url(name) for name in tables_in(self.root) if "." in name)

    def sources_among(self, names: Sequence[str]) -> list[str]:
        """Return the sources that it takes in, of those that there are."""
        return [name for name in tables_in(self.root) if name in names]


class Sql:
    """SELECT … FROM input WHERE …, row by row; system columns that are not named stay."""

    label = "sql"
    options_model: ClassVar[type[SqlOptions]] = SqlOptions

    def __init__(self, options: SqlOptions, site: TransformSite) -> None:
        self._where = site.place(self.label)
        try:
            self._query = parse(options.root.strip().removesuffix(";"))
            self._aliases = _check_clauses(self._query)
        except ConfigError as exc:
            raise ConfigError(exc.message, where=self._where, hint=exc.hint) from exc.__cause__
        condition = self._query.args.get("where")
        self._predicates = [condition.this] if condition else []

    def output_schema(self, given: pl.Schema) -> pl.Schema:
        """Return the columns of the SELECT list. Raises ConfigError naming the clause or the column."""
        if self._predicates:
            predicate_mask(self._predicates, given, self._where, self._aliases)
        return self._columns(given).schema

    def origins(self, given: pl.Schema) -> Origins:
        """Return what each column is computed from."""
        return self._columns(given).origins()

    def apply(self, rows: pl.LazyFrame, _plan: BatchPlan, tally: Tally) -> pl.LazyFrame:
        """Return the rows that pass WHERE, with the columns of the SELECT list; the others count as ``filtered``."""
        given = rows.collect_schema()
        if self._predicates:
            rows = kept_rows(rows, predicate_mask(self._predicates, given, self._where, self._aliases), tally)
        return self._columns(given).apply(rows)

    def kept_keys(self, keys: Sequence[str]) -> list[str]:
        """Return the names of the keys of a changing result. Raises ConfigError for one that is left out."""
        names: dict[str, str] = {}
        for item in self._query.expressions:
            if (star := _star_of(item)) is not None:
                left_out = _left_out(star)
                found = {name: name for name in keys if name not in left_out}
            else:
                before = column_name(item.this if item.key == "alias" else item, self._aliases)
                found = {} if before is None else {before: item.alias_or_name}
            names = found | names
        return kept_keys(keys, names, self._where)

    def _columns(self, given: pl.Schema) -> Columns:
        wanted: list[tuple[str, Formula | None]] = []
        for item in self._query.expressions:
            wanted += self._item(item, given)
        names = [name for name, _ in wanted]
        refuse_twice(names, self._where)
        kept: list[tuple[str, Formula | None]] = [(name, None) for name in system_columns(given) if name not in names]
        return compile_columns(dict(wanted + kept), given, where=self._where, aliases=self._aliases)

    def _item(self, item: Any, given: pl.Schema) -> list[tuple[str, Formula | None]]:  # noqa: ANN401
        """Return the columns of one item of the SELECT list; None lets a column through."""
        if (star := _star_of(item)) is not None:
            return [(name, None) for name in self._starred(star, given)]
        if item.key == "alias":
            refuse_reserved([item.alias], self._where)
            return [(item.alias, item.this)]
        if item.key == "column":
            return [(item.name, item)]
        raise ConfigError(f"{item} has no name", where=self._where, hint="write: … AS name")

    def _starred(self, star: Any, given: pl.Schema) -> list[str]:  # noqa: ANN401
        if star.args.get("rename") or star.args.get("replace"):
            raise ConfigError(
                "* takes EXCLUDE only", where=self._where, hint="exclude the column and add it: * EXCLUDE (a), b AS a"
            )
        left_out = _left_out(star)
        require(left_out, given, self._where)
        refuse_reserved(left_out, self._where)
        return [name for name in given if name not in left_out]


def _star_of(item: Any) -> Any:  # noqa: ANN401
    """Return the star that an item of the SELECT list is, None where it is none."""
    star = item.this if item.key == "column" else item
    return star if star.key == "star" else None


def _left_out(star: Any) -> list[str]:  # noqa: ANN401
    return [column.name for column in star.args.get("except_") or ()]


def _check_clauses(query: Any) -> tuple[str, ...]:  # noqa: ANN401
    """Return the names of ``input`` in the query. Raises ConfigError for any clause but SELECT, FROM and WHERE."""
    if query.key in ("union", "intersect", "except"):
        raise ConfigError(f"{query.key.upper()} cannot stand in `sql`", hint="write one SELECT … FROM input")
    if query.key != "select":
        raise ConfigError("not a query", hint="write SELECT … FROM input")
    for clause, value in query.args.items():
        if value and clause not in _TAKEN:
            word, hint = _CLAUSES.get(clause, (clause.strip("_").upper(), "write SELECT … FROM input WHERE …"))
            raise ConfigError(f"{word} cannot stand in `sql`", hint=hint)
    source = query.args.get("from_")
    table = source.this if source else None
    if table is None or table.key != "table" or table.this.key != "identifier" or table.name != TABLE:
        raise ConfigError(
            f"reads from {table or 'nothing'}",
            hint="the query sees the rows as `input`: SELECT … FROM input",
        )
    for part, value in table.args.items():
        if value and part not in ("this", "alias"):
            word, hint = _CLAUSES.get(part, (part.upper(), "write SELECT … FROM input"))
            raise ConfigError(f"{word} cannot stand in `sql`", hint=hint)
    return (table.alias,) if table.alias else ()
