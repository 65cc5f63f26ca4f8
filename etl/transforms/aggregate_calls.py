"""Aggregate calls as they are written: ``SUM(amount * 2) FILTER (WHERE paid)``, taken apart and checked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from etl.errors import ConfigError
from etl.expressions import parse
from etl.vocabulary import nearest

if TYPE_CHECKING:
    from sqlglot.expressions import Expression

ARGUMENT, CONDITION = "argument:", "where:"
"""What the columns with an aggregate's values, and with its condition, begin with."""

FUNCTIONS = (
    *("COUNT", "SUM", "MIN", "MAX", "AVG", "VAR", "STDDEV", "FIRST", "LAST", "APPROX_COUNT_DISTINCT"),
    *("APPROX_QUANTILE", "ARRAY_AGG", "ANY_VALUE", "BOOL_AND", "BOOL_OR"),
)
_ALIASES = {"VARIANCE": "VAR", "VAR_SAMP": "VAR", "STDDEV_SAMP": "STDDEV", "MEAN": "AVG", "ARBITRARY": "ANY_VALUE"}
_ALTERNATIVES = {
    "MEDIAN": "write APPROX_QUANTILE(x, 0.5)",
    "QUANTILE_CONT": "write APPROX_QUANTILE(x, 0.5)",
    "QUANTILE_DISC": "write APPROX_QUANTILE(x, 0.5)",
    "STRING_AGG": "write ARRAY_AGG(x), and ARRAY_TO_STRING in with_columns after",
    "VAR_POP": "write VAR(x), which divides by n - 1",
    "STDDEV_POP": "write STDDEV(x), which divides by n - 1",
    "FIRST_VALUE": "write FIRST(x)",
    "LAST_VALUE": "write LAST(x)",
}


@dataclass(frozen=True, slots=True)
class Call:
    """One aggregate: ``function`` over ``argument`` (None: ``COUNT(*)``) of the rows for which ``condition`` is true.

    ``fraction`` is the second argument of ``APPROX_QUANTILE``. ``text`` is the same in one spelling.
    """

    name: str
    function: str
    text: str
    argument: Expression | None
    condition: Expression | None = None
    is_distinct: bool = False
    fraction: float | None = None


def parse_call(name: str, text: str) -> Call:
    """Return the aggregate that column ``name`` is. Raises ConfigError with what to write instead."""
    try:
        tree: Any = parse(text)
        return _call(name, tree)
    except ConfigError as exc:
        raise ConfigError(f"{name}: {exc.message}", hint=exc.hint) from exc.__cause__


def _call(name: str, tree: Any) -> Call:  # noqa: ANN401  a node of a lazily imported library
    text, condition = str(tree), None
    if tree.key == "filter":
        condition, tree = tree.expression.this, tree.this
    if tree.key == "window":
        raise ConfigError("OVER cannot stand in an aggregate", hint="say the groups in `by` and `window`")
    if tree.key != "anonymous" or not isinstance(tree.this, str):
        raise ConfigError(
            f"{text} is not one aggregate", hint="name each aggregate, and compute with them in with_columns after"
        )
    function = _function(tree.this.upper())
    arguments = list(tree.expressions)
    is_distinct = bool(arguments) and arguments[0].key == "distinct"
    if is_distinct:
        arguments = _distinct(function, arguments[0].expressions)
    fraction = _fraction(arguments) if function == "APPROX_QUANTILE" else None
    return Call(name, function, text, _argument(function, arguments), condition, is_distinct, fraction)


def _function(word: str) -> str:
    function = _ALIASES.get(word, word)
    if function in FUNCTIONS:
        return function
    hint = _ALTERNATIVES.get(word, f"aggregates are {', '.join(FUNCTIONS)}")
    if word in _ALTERNATIVES:
        raise ConfigError(f"{word} cannot be kept up to date batch by batch", hint=hint)
    raise ConfigError(f"{word} is no aggregate{nearest(word, FUNCTIONS)}", hint=hint)


def _distinct(function: str, arguments: list[Any]) -> list[Any]:
    if function != "COUNT":
        raise ConfigError(f"{function} takes no DISTINCT", hint="COUNT(DISTINCT x) does, and MIN and MAX need none")
    if len(arguments) != 1:
        raise ConfigError("COUNT(DISTINCT …) takes one value", hint="write COUNT(DISTINCT CONCAT_WS('|', a, b))")
    return arguments


def _fraction(arguments: list[Any]) -> float:
    """Take the last of two arguments off. Raises ConfigError where it is not between 0 and 1."""
    text = str(arguments.pop()) if len(arguments) == 2 else ""  # noqa: PLR2004
    try:
        found = float(text)
    except ValueError:
        found = -1.0
    if not 0 <= found <= 1:
        raise ConfigError(
            "APPROX_QUANTILE takes a value and a fraction between 0 and 1", hint="write APPROX_QUANTILE(x, 0.95)"
        )
    return found


def _argument(function: str, arguments: list[Any]) -> Expression | None:
    if len(arguments) != 1:
        raise ConfigError(f"{function} takes one value, not {len(arguments)}", hint=f"write {function}(x)")
    argument: Expression = arguments[0]
    if argument.key == "star":
        if function != "COUNT":
            raise ConfigError(f"{function} takes a value, not *", hint=f"write {function}(x)")
        return None
    if argument.key == "order":
        raise ConfigError(
            f"{function} takes no ORDER BY", hint="rows are in the order of event time, then of their files"
        )
    return argument
