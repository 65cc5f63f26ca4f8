"""A syntax tree back to SQL, node by node: what has no line in these tables is refused by name.

Integer arithmetic is written in 128 bits and cast back to its own type, so that an overflow is an error.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from etl.errors import ConfigError
from etl.text_casts import cast_text
from etl.vocabulary import check_function, nearest, refuse, type_word

if TYPE_CHECKING:
    import polars as pl

MAX_DEPTH = 36
"""How deep parentheses may nest in what is handed on: Polars' parser hangs, instead of failing, from about 48 on."""

MAX_OPERATIONS = 100
"""How many calculations an expression may hold."""

TABLE = "input"

_BINARY = {
    "add": "+",
    "sub": "-",
    "mul": "*",
    "div": "/",
    "mod": "%",
    "dpipe": "||",
    "and": "AND",
    "or": "OR",
    "eq": "=",
    "neq": "<>",
    "gt": ">",
    "gte": ">=",
    "lt": "<",
    "lte": "<=",
    "nullsafeeq": "IS NOT DISTINCT FROM",
    "nullsafeneq": "IS DISTINCT FROM",
    "like": "LIKE",
    "ilike": "ILIKE",
    "regexplike": "~",
    "regexpilike": "~*",
    "startswith": "^@",
}
_CHAINS = ({"and"}, {"or"}, {"dpipe"}, {"add", "sub"})
_CHECKED_CALLS = ("ABS", "MOD", "DIV")


def quoted(name: str) -> str:
    """Return a column name as SQL.

    >>> quoted('order id')
    '"order id"'
    """
    return '"' + name.replace('"', '""') + '"'


def arithmetic(tree: Any) -> list[Any]:  # noqa: ANN401
    """Return the nodes whose integer results could overflow. Raises ConfigError where there are too many."""
    keys = ("add", "sub", "mul", "mod", "neg")
    found = [
        node
        for node in tree.walk()
        if node.key in keys or (node.key == "anonymous" and str(node.this).upper() in _CHECKED_CALLS)
    ]
    if len(found) > MAX_OPERATIONS:
        raise ConfigError(f"more than {MAX_OPERATIONS} calculations", hint="cut it into several with_columns")
    return found


def casts(tree: Any) -> list[Any]:  # noqa: ANN401
    """Return the nodes that give another type to what they hold."""
    return [node for node in tree.walk() if node.key in ("cast", "trycast")]


def check_depth(sql: str) -> None:
    """Refuse SQL that Polars' parser would choke on. Raises ConfigError."""
    depth = 0
    for sign in re.sub(r"'[^']*'|\"[^\"]*\"|[^()]", "", sql):
        depth += 1 if sign == "(" else -1
        if depth > MAX_DEPTH:
            raise ConfigError("nested too deeply", hint="cut it into several with_columns")


@dataclass(frozen=True, slots=True)
class NodeTypes:
    """What is known of the nodes of a tree, by ``id``: integer results by their type in SQL, and casts of text."""

    integers: Mapping[int, str]
    text_casts: AbstractSet[int]


class SqlWriter:
    """SQL for the trees of one ``given`` schema; without ``types`` it has the same type, but not the same value."""

    def __init__(
        self, given: Mapping[str, pl.DataType], types: NodeTypes | None = None, aliases: tuple[str, ...] = ()
    ) -> None:
        self._given = given
        self._types = types
        self._integers = types.integers if types else {}
        self._tables = (TABLE, *aliases)

    def sql(self, node: Any) -> str:  # noqa: ANN401
        """Return ``node`` as SQL, in parentheses where it is not a single word. Raises ConfigError."""
        if node.key == "paren":
            return self.sql(node.this)
        if node.key in _BINARY:
            return self._binary(node)
        write = getattr(self, f"_{node.key}", None)
        if write is None:
            raise refuse(node)
        text: str = write(node)
        return text

    def column(self, node: Any) -> tuple[str, ...]:  # noqa: ANN401
        """Return the path of a column or of a field in it. Raises ConfigError with the nearest name."""
        path = tuple(part.name for part in node.parts)
        if len(path) > 1 and path[0] not in self._given and path[0] in self._tables:
            path = path[1:]
        fields: Mapping[str, Any] = self._given
        for place, name in enumerate(path):
            if name not in fields:
                inside = f"{'.'.join(path[:place])} has no field" if place else "unknown column"
                raise ConfigError(f"{inside} {name!r}{nearest(name, fields)}", hint=f"known: {', '.join(fields)}")
            fields = {field.name: field.dtype for field in getattr(fields[name], "fields", ())}
        return path

    def _column(self, node: Any) -> str:  # noqa: ANN401
        if node.this.key == "star":
            raise refuse(node.this)
        return ".".join(quoted(name) for name in self.column(node))

    def _binary(self, node: Any) -> str:  # noqa: ANN401
        if node.args.get("escape"):
            raise refuse(node)
        kind = self._integers.get(id(node))
        terms = [
            f" {_BINARY[key]} {self._wide(term, kind)}" if key else self._wide(term, kind)
            for key, term in self._chain(node)
        ]
        text = "".join(terms)
        if kind:
            return f"CAST({text} AS {kind})"
        return f"(NOT ({text}))" if node.args.get("negate") else f"({text})"

    def _chain(self, node: Any) -> list[tuple[str, Any]]:  # noqa: ANN401
        """Return the operands of ``a + b - c`` with the operator before each, the first without one.

        A chain in 128 bits is checked once, at its end; it does not reach over the border to another kind of number.
        """
        joined: set[str] = next((keys for keys in _CHAINS if node.key in keys), set())
        is_integer = id(node) in self._integers
        found = []
        while True:
            found.append((node.key, node.expression))
            inner = node.this
            while inner.key == "paren":
                inner = inner.this
            if inner.key not in joined or (id(inner) in self._integers) != is_integer:
                return [("", inner), *reversed(found)]
            node = inner

    def _wide(self, node: Any, kind: str | None) -> str:  # noqa: ANN401
        text = self.sql(node)
        return f"CAST({text} AS HUGEINT)" if kind else text

    def _neg(self, node: Any) -> str:  # noqa: ANN401
        if node.this.key == "literal" and not node.this.is_string:
            return f"(-{node.this.this})"
        kind = self._integers.get(id(node))
        text = f"-{self._wide(node.this, kind)}"
        return f"CAST({text} AS {kind})" if kind else f"({text})"

    def _anonymous(self, node: Any) -> str:  # noqa: ANN401
        if not isinstance(node.this, str):
            raise ConfigError("a function's name stands without quotes", hint=f"write {node.this.name}(…)")
        name = node.this.upper()
        check_function(name)
        kind = self._integers.get(id(node))
        arguments = [self._wide(argument, kind) for argument in node.expressions]
        if name in ("POW", "POWER") and arguments:
            # an integer power wraps, whatever its type
            arguments[0] = f"CAST({arguments[0]} AS DOUBLE)"
        text = f"{name}({', '.join(arguments)})"
        return f"CAST({text} AS {kind})" if kind else text

    def _literal(self, node: Any) -> str:  # noqa: ANN401
        return "'" + node.this.replace("'", "''") + "'" if node.is_string else str(node.this)

    def _boolean(self, node: Any) -> str:  # noqa: ANN401
        return "TRUE" if node.this else "FALSE"

    def _null(self, _node: Any) -> str:  # noqa: ANN401
        return "NULL"

    def _not(self, node: Any) -> str:  # noqa: ANN401
        return f"(NOT {self.sql(node.this)})"

    def _is(self, node: Any) -> str:  # noqa: ANN401
        if node.expression.key != "null":
            raise ConfigError(
                "IS TRUE and IS FALSE give null for null", hint="write COALESCE(condition, FALSE), or IS NULL"
            )
        return f"({self.sql(node.this)} IS {'NOT ' if node.args.get('negate') else ''}NULL)"

    def _in(self, node: Any) -> str:  # noqa: ANN401
        if not node.expressions or node.args.get("query"):
            raise ConfigError("IN takes a list of values", hint="write country IN ('de', 'fr')")
        values = ", ".join(self.sql(value) for value in node.expressions)
        negated = "NOT " if node.args.get("negate") else ""
        return f"({self.sql(node.this)} {negated}IN ({values}))"

    def _between(self, node: Any) -> str:  # noqa: ANN401
        this, low, high = (self.sql(node.args[part]) for part in ("this", "low", "high"))
        return f"({this} {'NOT ' if node.args.get('negate') else ''}BETWEEN {low} AND {high})"

    def _case(self, node: Any) -> str:  # noqa: ANN401
        subject = f" {self.sql(node.this)}" if node.this else ""
        whens = "".join(f" WHEN {self.sql(when.this)} THEN {self.sql(when.args['true'])}" for when in node.args["ifs"])
        default = node.args.get("default")
        return f"(CASE{subject}{whens}{f' ELSE {self.sql(default)}' if default else ''} END)"

    def _cast(self, node: Any) -> str:  # noqa: ANN401
        operand, word = self.sql(node.this), type_word(node.args["to"])
        if self._types is None:
            return f"CAST(NULL AS {word})"
        is_try = node.key == "trycast"
        if id(node) in self._types.text_casts:
            return cast_text(operand, word, is_try=is_try)
        return f"{'TRY_' if is_try else ''}CAST({operand} AS {word})"

    _trycast = _cast

    def _extract(self, node: Any) -> str:  # noqa: ANN401
        return f"EXTRACT({node.name} FROM {self.sql(node.expression)})"

    def _trim(self, node: Any) -> str:  # noqa: ANN401
        characters = node.args.get("expression")
        if characters is None:
            return f"TRIM({self.sql(node.this)})"
        return f"TRIM({node.args.get('position') or 'BOTH'} {self.sql(characters)} FROM {self.sql(node.this)})"

    def _interval(self, node: Any) -> str:  # noqa: ANN401
        unit = node.args.get("unit")
        text = f"{node.this.name} {unit.name}" if unit else node.this.name
        return "INTERVAL '" + text.replace("'", "''") + "'"

    def _attimezone(self, node: Any) -> str:  # noqa: ANN401
        return f"({self.sql(node.this)} AT TIME ZONE {self.sql(node.args['zone'])})"
