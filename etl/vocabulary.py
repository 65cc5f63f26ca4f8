"""What an expression may say: functions with an example and its value, types, and what is refused with its alternative.

The table of functions is the rule, the documentation (``docs/expressions.md``) and the test.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from datetime import date, datetime, time
from typing import Any

from etl.errors import ConfigError

Example = tuple[str, object]

FUNCTIONS: dict[str, Example] = {
    # numbers
    "ABS": ("ABS(-7)", 7),
    "CEIL": ("CEIL(2.1e0)", 3.0),
    "FLOOR": ("FLOOR(2.9e0)", 2.0),
    "ROUND": ("ROUND(2.345e0, 1)", 2.3),
    "TRUNC": ("TRUNC(-2.9e0)", -2.0),
    "SIGN": ("SIGN(-7)", -1),
    "MOD": ("MOD(7, 4)", 3),
    "DIV": ("DIV(7, 2)", 3),
    "SQRT": ("SQRT(9)", 3.0),
    "CBRT": ("CBRT(27)", 3.0),
    "POW": ("POW(2, 10)", 1024.0),
    "POWER": ("POWER(2, 10)", 1024.0),
    "EXP": ("EXP(0)", 1.0),
    "LN": ("LN(1)", 0.0),
    "LOG2": ("LOG2(8)", 3.0),
    "LOG10": ("LOG10(100)", 2.0),
    "LOG1P": ("LOG1P(0)", 0.0),
    "PI": ("PI()", 3.141592653589793),
    "SIN": ("SIN(0)", 0.0),
    "COS": ("COS(0)", 1.0),
    "TAN": ("TAN(0)", 0.0),
    "ASIN": ("ASIN(0)", 0.0),
    "ACOS": ("ACOS(1)", 0.0),
    "ATAN": ("ATAN(0)", 0.0),
    "ATAN2": ("ATAN2(0, 1)", 0.0),
    "DEGREES": ("DEGREES(0)", 0.0),
    "RADIANS": ("RADIANS(0)", 0.0),
    "BIT_AND": ("BIT_AND(6, 3)", 2),
    "BIT_OR": ("BIT_OR(6, 3)", 7),
    "BIT_XOR": ("BIT_XOR(6, 3)", 5),
    "BIT_COUNT": ("BIT_COUNT(7)", 3),
    # text
    "LOWER": ("LOWER('Ab')", "ab"),
    "UPPER": ("UPPER('Ab')", "AB"),
    "INITCAP": ("INITCAP('ada king')", "Ada King"),
    "LENGTH": ("LENGTH('été')", 3),
    "CHAR_LENGTH": ("CHAR_LENGTH('été')", 3),
    "OCTET_LENGTH": ("OCTET_LENGTH('été')", 5),
    "TRIM": ("TRIM('  a ')", "a"),
    "LTRIM": ("LTRIM('  a ')", "a "),
    "RTRIM": ("RTRIM('  a ')", "  a"),
    "LEFT": ("LEFT('abc', 2)", "ab"),
    "RIGHT": ("RIGHT('abc', 2)", "bc"),
    "SUBSTR": ("SUBSTR('abcd', 2, 2)", "bc"),
    "SUBSTRING": ("SUBSTRING('abcd', 2, 2)", "bc"),
    "REPLACE": ("REPLACE('abc', 'b', 'x')", "axc"),
    "REVERSE": ("REVERSE('abc')", "cba"),
    "CONCAT": ("CONCAT('a', 1, NULL)", "a1"),
    "CONCAT_WS": ("CONCAT_WS('-', 'a', 1)", "a-1"),
    "STARTS_WITH": ("STARTS_WITH('abc', 'a')", True),
    "ENDS_WITH": ("ENDS_WITH('abc', 'c')", True),
    "STRPOS": ("STRPOS('abc', 'b')", 2),
    "SPLIT_PART": ("SPLIT_PART('a/b/c', '/', 2)", "b"),
    "STRING_TO_ARRAY": ("STRING_TO_ARRAY('a,b', ',')", ["a", "b"]),
    "LPAD": ("LPAD('7', 3, '0')", "007"),
    "RPAD": ("RPAD('7', 3, '0')", "700"),
    "NORMALIZE": ("NORMALIZE('e\u0301')", "\u00e9"),
    "REGEXP_LIKE": ("REGEXP_LIKE('abc', '^a.c$')", True),
    "REGEXP_REPLACE": ("REGEXP_REPLACE('a1b2', '[0-9]', '')", "ab2"),
    # conditions
    "COALESCE": ("COALESCE(NULL, 'a')", "a"),
    "IFNULL": ("IFNULL(NULL, 'a')", "a"),
    "NULLIF": ("NULLIF('a', 'a')", None),
    "IF": ("IF(1 > 2, 'a', 'b')", "b"),
    "GREATEST": ("GREATEST(1, 3, 2)", 3),
    "LEAST": ("LEAST(1, 3, 2)", 1),
    # time
    "DATE": ("DATE('05.03.2024', '%d.%m.%Y')", date(2024, 3, 5)),
    "TIME": ("TIME('10.05', '%H.%M')", time(10, 5)),
    "STRPTIME": ("STRPTIME('5.3.2024 10:20', '%d.%m.%Y %H:%M')", datetime(2024, 3, 5, 10, 20)),  # noqa: DTZ001  naive
    "STRFTIME": ("STRFTIME(DATE '2024-03-05', '%d.%m.%Y')", "05.03.2024"),
    "DATE_TRUNC": ("DATE_TRUNC('month', TIMESTAMP '2024-03-05 10:20:30')", datetime(2024, 3, 1)),  # noqa: DTZ001  naive
    "DATE_PART": ("DATE_PART('hour', TIMESTAMP '2024-03-05 10:20:30')", 10),
    "YEAR": ("YEAR(DATE '2024-03-05')", 2024),
    "QUARTER": ("QUARTER(DATE '2024-03-05')", 1),
    "MONTH": ("MONTH(DATE '2024-03-05')", 3),
    "WEEK": ("WEEK(DATE '2024-03-05')", 10),
    "DAY": ("DAY(DATE '2024-03-05')", 5),
    "DAYOFWEEK": ("DAYOFWEEK(DATE '2024-03-05')", 2),
    "DAYOFYEAR": ("DAYOFYEAR(DATE '2024-03-05')", 65),
    "HOUR": ("HOUR(TIMESTAMP '2024-03-05 10:20:30')", 10),
    "MINUTE": ("MINUTE(TIMESTAMP '2024-03-05 10:20:30')", 20),
    "SECOND": ("SECOND(TIMESTAMP '2024-03-05 10:20:30')", 30),
    # lists
    "ARRAY_LENGTH": ("ARRAY_LENGTH(STRING_TO_ARRAY('a,b', ','))", 2),
    "ARRAY_GET": ("ARRAY_GET(STRING_TO_ARRAY('a,b', ','), 1)", "a"),
    "ARRAY_CONTAINS": ("ARRAY_CONTAINS(STRING_TO_ARRAY('a,b', ','), 'b')", True),
    "ARRAY_REVERSE": ("ARRAY_REVERSE(STRING_TO_ARRAY('a,b', ','))", ["b", "a"]),
    "ARRAY_TO_STRING": ("ARRAY_TO_STRING(STRING_TO_ARRAY('a,b', ','), '-')", "a-b"),
}
"""Name to an example and its value."""

AGGREGATES = (
    *("ANY_VALUE", "APPROX_COUNT_DISTINCT", "APPROX_QUANTILE", "ARBITRARY", "ARRAY_AGG", "AVG", "BOOL_AND", "BOOL_OR"),
    *("CORR", "COUNT", "COVAR", "COVAR_POP", "COVAR_SAMP", "FIRST", "LAST", "MAX", "MEAN", "MEDIAN", "MIN", "MODE"),
    *("PERCENTILE_CONT", "PERCENTILE_DISC", "QUANTILE_CONT", "QUANTILE_DISC", "STDDEV", "STDDEV_POP", "STDDEV_SAMP"),
    *("STRING_AGG", "SUM", "VAR", "VARIANCE", "VAR_POP", "VAR_SAMP"),
)
"""Functions over the rows of a group; which of them can be kept up to date batch by batch, ``group_by`` knows."""

_WINDOWS = ("DENSE_RANK", "FIRST_VALUE", "LAG", "LAST_VALUE", "LEAD", "NTILE", "RANK", "ROW_NUMBER")
_CLOCKS = (
    "CURRENT_DATE",
    "CURRENT_DATETIME",
    "CURRENT_TIME",
    "CURRENT_TIMESTAMP",
    "LOCALTIME",
    "LOCALTIMESTAMP",
    "NOW",
)
_CHANCE = ("GEN_RANDOM_UUID", "RAND", "RANDOM", "UUID")

_GROUPED = "an aggregate needs other rows; aggregate with the transform group_by, or in sql: SELECT … GROUP BY …"
_ORDERED = "a window function needs rows that are still to come; use group_by with a window, deduplicate, or stateful"
REFUSED: dict[str, str] = {
    **dict.fromkeys(AGGREGATES, _GROUPED),
    **dict.fromkeys(_WINDOWS, _ORDERED),
    **dict.fromkeys(_CLOCKS, "a batch that runs again must give the same rows; use the column _ingested_at"),
    **dict.fromkeys(_CHANCE, "a batch that runs again must give the same rows; use a column of the source"),
    "ARRAY_SUM": "the sum of a list wraps without an error; explode the list, or use a Python transform",
    "ARRAY_UNIQUE": "its order changes from run to run; use a Python transform",
    "UNNEST": "a row would become several; use the transform explode",
}
"""Name to the reason and the alternative."""

TABLE_FUNCTION_PREFIXES = ("READ_", "SCAN_")

_TYPES = {
    "BOOLEAN": "BOOLEAN",
    "TINYINT": "TINYINT",
    "SMALLINT": "SMALLINT",
    "INT": "INTEGER",
    "BIGINT": "BIGINT",
    "UTINYINT": "UTINYINT",
    "USMALLINT": "USMALLINT",
    "UINTEGER": "UINTEGER",
    "UBIGINT": "UBIGINT",
    "FLOAT": "REAL",
    "DOUBLE": "DOUBLE",
    "TEXT": "VARCHAR",
    "VARCHAR": "VARCHAR",
    "VARBINARY": "BLOB",
    "DATE": "DATE",
    "TIME": "TIME",
    "TIMESTAMP": "TIMESTAMP",
    "TIMESTAMPTZ": "TIMESTAMP WITH TIME ZONE",
    "DECIMAL": "DECIMAL",
}
_WORDS = {
    "select": "SELECT",
    "subquery": "a sub-query",
    "exists": "EXISTS",
    "window": "OVER",
    "filter": "FILTER",
    "star": "*",
    "bracket": "[…]",
    "jsonextract": "->",
    "jsonextractscalar": "->>",
    "tuple": "a list of values",
    "currenttimestamp": "CURRENT_TIMESTAMP",
    "currentdate": "CURRENT_DATE",
    "currenttime": "CURRENT_TIME",
    "alias": "AS",
    "dot": "a path or method",
    "distinct": "DISTINCT",
    "order": "ORDER BY",
    "localtime": "LOCALTIME",
    "localtimestamp": "LOCALTIMESTAMP",
    "currentdatetime": "CURRENT_DATETIME",
}
_HINTS = {
    "bracket": "write ARRAY_GET(list, 1)",
    "jsonextract": "name a field of a struct with a dot: payload.user",
    "jsonextractscalar": "name a field of a struct with a dot: payload.user",
    "select": "an expression sees one row; to look into another table use the transform join",
    "subquery": "an expression sees one row; to look into another table use the transform join",
    "exists": "an expression sees one row; to look into another table use the transform join",
    "window": _ORDERED,
    "alias": "the name stands before the expression, as the YAML key",
}


def nearest(word: str, known: Iterable[str]) -> str:
    """Return ``; did you mean 'x'?`` where a known word is near, else nothing."""
    found = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f"; did you mean {found[0]!r}?" if found else ""


def refuse(node: Any) -> ConfigError:  # noqa: ANN401  a node of a lazily imported library
    """Return the error for a node that no table here knows."""
    word = _WORDS.get(node.key, node.key.upper())
    hint = _HINTS.get(node.key) or REFUSED.get(word, "see docs/expressions.md for what an expression may hold")
    return ConfigError(f"{word} cannot stand in an expression", hint=hint)


def check_function(name: str) -> None:
    """Refuse a function that the table lacks. Raises ConfigError with the alternative or the nearest name."""
    if name in FUNCTIONS:
        return
    if name in REFUSED:
        raise ConfigError(f"{name} cannot stand in an expression", hint=REFUSED[name])
    if name.startswith(TABLE_FUNCTION_PREFIXES):
        raise ConfigError(f"{name} reads files", hint="declare a source; an expression sees only its row")
    raise ConfigError(
        f"unknown function {name}{nearest(name, FUNCTIONS)}", hint="docs/expressions.md lists all of them"
    )


def type_word(kind: Any) -> str:  # noqa: ANN401
    """Return a type as Polars spells it."""
    word = kind.this.name if kind.this.name != "USERDEFINED" else kind.args["kind"].name.upper()
    if word not in _TYPES:
        raise ConfigError(f"unknown type {word}{nearest(word, _TYPES)}", hint=f"types are {', '.join(_TYPES)}")
    sizes = [part.name for part in kind.expressions]
    if sizes and word != "DECIMAL":
        raise ConfigError(f"{word} takes no length", hint=f"write {word}")
    return f"DECIMAL({', '.join(sizes)})" if sizes else _TYPES[word]
