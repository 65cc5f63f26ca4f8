"""SQL expressions over columns, checked against an allow-list and built by Polars."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

from etl.errors import ConfigError
from etl.sql_writer import TABLE, NodeTypes, SqlWriter, arithmetic, casts, check_depth, quoted
from etl.text_casts import refused_text

if TYPE_CHECKING:
    import polars as pl
    from sqlglot.expressions import Expression

    Formula = str | Expression
    """The text of an expression, or a part of a parsed query."""

MAX_LENGTH = 10_000
"""How many characters an expression or query may have."""

_ROWS = "_etl_rows"

_INTEGER_WORDS = {
    "Int8": "TINYINT",
    "Int16": "SMALLINT",
    "Int32": "INTEGER",
    "Int64": "BIGINT",
    "UInt8": "UTINYINT",
    "UInt16": "USMALLINT",
    "UInt32": "UINTEGER",
    "UInt64": "UBIGINT",
}


@dataclass(frozen=True, slots=True)
class Columns:
    """Columns ready to be computed: ``schema`` is their result, ``sql`` their query."""

    sql: str
    schema: pl.Schema

    def apply(self, rows: pl.LazyFrame) -> pl.LazyFrame:
        """Return the columns for ``rows``, lazily. Integer overflow raises a Polars error when the rows flow."""
        import polars as pl

        return pl.SQLContext({_ROWS: rows}, eager=False).execute(self.sql)

    def origins(self) -> dict[str, frozenset[str]]:
        """Return the columns that each is computed from."""
        dialect = _dialect()
        (tree,) = dialect.parser().parse(dialect.tokenize(self.sql), self.sql)
        return {item.alias: columns_in(item.this) for item in tree.expressions}


def compile_columns(
    columns: Mapping[str, Formula | None], given: pl.Schema, *, where: str = "", aliases: tuple[str, ...] = ()
) -> Columns:
    """Return ``columns``, name to expression, in order; None lets the given column of that name through.

    ``aliases`` are names that ``input`` may have, too. Everything is tried on an empty frame.
    Raises ConfigError that names the column, the clause and what to write instead.
    """
    try:
        return _compile(tuple(columns.items()), tuple(given.items()), aliases)
    except ConfigError as exc:
        raise ConfigError(exc.message, where=where, hint=exc.hint) from exc.__cause__


def plain_message(error: BaseException) -> str:
    """Return the part of a Polars message that speaks of the user's data, without its plans."""
    if (refused := refused_text(str(error))) is not None:
        return refused
    return str(error).split("\n\n", 1)[0].split("\nHint:", 1)[0].strip()


@lru_cache(maxsize=256)
def _compile(
    columns: tuple[tuple[str, Formula | None], ...],
    given: tuple[tuple[str, pl.DataType], ...],
    aliases: tuple[str, ...],
) -> Columns:
    import polars as pl

    schema = pl.Schema(given)
    written = [
        f"{quoted(name) if formula is None else _written(name, formula, schema, aliases)} AS {quoted(name)}"
        for name, formula in columns
    ]
    sql = _query(", ".join(written))
    result = _on_empty(sql, schema, hint="look at the types of the columns").collect()
    return Columns(sql, result.schema)


def _written(name: str, formula: Formula, given: pl.Schema, aliases: tuple[str, ...]) -> str:
    """Return one expression as checked SQL that has been tried by itself. Raises ConfigError naming it."""
    try:
        tree = parse(formula) if isinstance(formula, str) else formula
        plain = SqlWriter(given, aliases=aliases)
        check_depth(plain.sql(tree))
        checked = SqlWriter(given, _types(tree, plain, given), aliases).sql(tree)
        check_depth(checked)
        _on_empty(_query(f"{checked} AS x"), given, hint=f"the expression is: {formula}")
    except RecursionError:
        raise ConfigError(f"{name}: nested too deeply", hint="cut it into several with_columns") from None
    except ConfigError as exc:
        raise ConfigError(f"{name}: {exc.message}", hint=exc.hint) from exc.__cause__
    return checked


def _types(tree: Any, plain: SqlWriter, given: pl.Schema) -> NodeTypes:  # noqa: ANN401
    """Return what Polars says of the nodes of ``tree``, in one query over no rows. Raises ConfigError."""
    import polars as pl

    numbers, changes = arithmetic(tree), casts(tree)
    asked = [*numbers, *(node.this for node in changes)]
    if not asked:
        return NodeTypes({}, frozenset())
    fields = ", ".join(f"{plain.sql(node)} AS x{place}" for place, node in enumerate(asked))
    found = _on_empty(_query(fields), given, hint="cast one side").collect_schema().dtypes()
    integers = {id(node): _integer_word(kind) for node, kind in zip(numbers, found, strict=False) if kind.is_integer()}
    operands = zip(changes, found[len(numbers) :], strict=True)
    return NodeTypes(integers, {id(node) for node, kind in operands if kind == pl.String})


def _integer_word(kind: pl.DataType) -> str:
    if str(kind) not in _INTEGER_WORDS:
        raise ConfigError(
            f"int64 and uint64 have no common type a table can keep: {kind}", hint="CAST one of them first"
        )
    return _INTEGER_WORDS[str(kind)]


def _query(fields: str) -> str:
    """Return the query for ``fields``, every part of which SqlWriter has written."""
    return f"SELECT {fields} FROM {_ROWS}"  # noqa: S608


def _on_empty(sql: str, given: pl.Schema, *, hint: str) -> pl.LazyFrame:
    """Return the query over no rows, tried: some type errors show only when it is collected."""
    import polars as pl

    found = pl.SQLContext({_ROWS: pl.LazyFrame(schema=given)}, eager=False)
    try:
        return found.execute(sql).collect().lazy()
    except pl.exceptions.PolarsError as exc:
        raise ConfigError(plain_message(exc), hint=hint) from exc


def parse(text: str) -> Expression:
    """Return the tree of ``text``. Function names are kept as they are written.

    Raises ConfigError for an empty text, comments, several statements, and what is no SQL.
    """
    from sqlglot.errors import SqlglotError

    if len(text) > MAX_LENGTH:
        raise ConfigError(f"longer than {MAX_LENGTH} characters", hint="cut it into several transforms")
    if "\0" in text:
        raise ConfigError("holds a NUL character", hint="remove it")
    dialect = _dialect()
    try:
        tokens = dialect.tokenize(text)
        _refuse_wrapping(text, tokens)
        (tree,) = dialect.parser().parse(tokens, text)
    except SqlglotError as exc:
        raise ConfigError(f"cannot be read as SQL: {_plain(str(exc))}", hint=f"the text is: {text}") from exc
    except RecursionError:
        raise ConfigError("nested too deeply", hint="cut it into several with_columns") from None
    if tree is None:
        raise ConfigError("empty", hint="write an expression over columns")
    found: Expression = tree
    return found


def text_of(tree: Any) -> str:  # noqa: ANN401  a node of a lazily imported library
    """Return the text of a tree, which :func:`parse` reads as the same tree again. Raises ConfigError where it is not.

    >>> text_of(parse("lower(a)::TINYINT + 1"))
    'CAST(LOWER(a) AS TINYINT) + 1'
    """
    from sqlglot.errors import SqlglotError

    try:
        text = draft_of(tree)
        is_same = _shape(parse(text)) == _shape(tree)
    except SqlglotError as exc:
        raise ConfigError(f"cannot be written as SQL: {_plain(str(exc))}", hint="write it in another way") from exc
    if not is_same:
        raise ConfigError(f"{text}: cannot be taken out of the query", hint="write it in another way")
    return text


def draft_of(tree: Any) -> str:  # noqa: ANN401
    """Return the text of any part of a tree, whether or not it stands for itself: to compare and to show."""
    return str(tree.sql(dialect=_dialect()))


def _shape(tree: Any) -> list[tuple[str, str]]:  # noqa: ANN401
    """Return the nodes of a tree with the word that each holds, whatever the case of a function's name."""
    return [(node.key, _word(node)) for node in tree.walk() if node.key not in ("paren", "datatypeparam")]


def _word(node: Any) -> str:  # noqa: ANN401
    word = node.args.get("this")
    if node.key == "datatype":
        return str(word.name)
    if not isinstance(word, str):
        return ""
    return word.upper() if node.key == "anonymous" else word


def column_name(formula: Formula, aliases: tuple[str, ...] = ()) -> str | None:
    """Return the name of the column that an expression lets through as it is, None where it computes something.

    >>> column_name('"order id"'), column_name("input.id"), column_name("payload.user"), column_name("id + 1")
    ('order id', 'id', None, None)
    """
    tree: Any = parse(formula) if isinstance(formula, str) else formula
    if tree.key != "column" or tree.this.key == "star":
        return None
    path = [part.name for part in tree.parts]
    if len(path) > 1 and path[0] in (TABLE, *aliases):
        path = path[1:]
    return path[0] if len(path) == 1 else None


def columns_in(formula: Formula | None) -> frozenset[str]:
    """Return the columns that an expression names; where it names a field of a struct, the struct.

    >>> sorted(columns_in("CASE WHEN place.city = 'Bonn' THEN input.amount END"))
    ['amount', 'place']
    """
    from sqlglot.expressions import Column

    tree: Any = parse(formula) if isinstance(formula, str) else formula
    paths = () if tree is None else ([part.name for part in node.parts] for node in tree.find_all(Column))
    return frozenset(path[1] if len(path) > 1 and path[0] == TABLE else path[0] for path in paths)


def _refuse_wrapping(text: str, tokens: list[Any]) -> None:
    if any(token.comments for token in tokens) or (text.strip() and not tokens):
        raise ConfigError("holds a comment", hint="write the comment in YAML, behind #")
    if any(token.text == ";" and token.token_type.name == "SEMICOLON" for token in tokens):
        raise ConfigError("holds a semicolon", hint="write one expression")


def _plain(message: str) -> str:
    """Return the first line of sqlglot's message without its terminal colours."""
    first = re.sub(r"\x1b\[\d+m", "", message).splitlines()[0]
    return re.sub(r"<class '[\w.]*\.(\w+)'>", r"\1", first).rstrip(". ")


@cache
def _dialect() -> Any:  # noqa: ANN401  a dialect class cannot be named before sqlglot is imported
    """Return Polars' dialect: PostgreSQL's, with function calls left as they are written.

    A parser that knows functions would rename some of them, and Polars knows them by other names.
    """
    from sqlglot.dialects.postgres import Postgres
    from sqlglot.expressions import DataType, StartsWith, TryCast
    from sqlglot.tokenizer_core import TokenType

    known, written = Postgres.parser_class, Postgres.generator_class

    class Parser(known):  # type: ignore[misc,valid-type]
        FUNC_TOKENS = known.FUNC_TOKENS | {TokenType.SESSION}
        FUNCTIONS: dict[str, Any] = {}  # noqa: RUF012  sqlglot's own way to say it
        FUNCTION_PARSERS = {  # noqa: RUF012
            name: known.FUNCTION_PARSERS[name] for name in ("CAST", "TRY_CAST", "EXTRACT", "TRIM")
        }
        NO_PAREN_FUNCTION_PARSERS = {"CASE": known.NO_PAREN_FUNCTION_PARSERS["CASE"]}  # noqa: RUF012

    class Generator(written):  # type: ignore[misc,valid-type]
        STAR_EXCEPT = "EXCLUDE"
        TYPE_MAPPING = {  # noqa: RUF012
            kind: word for kind, word in written.TYPE_MAPPING.items() if kind != DataType.Type.TINYINT
        }
        TRANSFORMS = {  # noqa: RUF012
            **written.TRANSFORMS,
            StartsWith: lambda self, node: self.binary(node, "^@"),
            TryCast: lambda self, node: f"TRY_{self.cast_sql(node)}",
        }

    class Polars(Postgres):
        parser_class = Parser
        generator_class = Generator

    return Polars()
