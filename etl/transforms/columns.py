"""What transforms share about columns: system columns stay, unknown names are refused with the nearest one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from pydantic import ConfigDict

from etl.errors import ConfigError
from etl.expressions import plain_message
from etl.model import CHANGE, SOURCE_ROW, SYSTEM_COLUMNS
from etl.vocabulary import nearest

if TYPE_CHECKING:
    import polars as pl

STRICT = ConfigDict(strict=True, frozen=True, defer_build=True)
"""For options that are a list or a mapping of names, and no fixed keys."""

MASK = "_etl_keep"
"""A column of our own between a predicate and its filter."""


def require(names: Iterable[str], given: pl.Schema, where: str) -> None:
    """Refuse a name that ``given`` lacks. Raises ConfigError with the nearest one."""
    for name in names:
        if name not in given:
            raise ConfigError(
                f"unknown column {name!r}{nearest(name, given)}", where=where, hint=f"known: {', '.join(given)}"
            )


def refuse_reserved(names: Iterable[str], where: str) -> None:
    """Refuse to make, rename or drop a system column. Raises ConfigError."""
    for name in names:
        if name == CHANGE or name.startswith((*SYSTEM_COLUMNS, SOURCE_ROW, MASK)):
            raise ConfigError(
                f"{name!r} is the name of a system column", where=where, hint="use another name, without the underscore"
            )


def system_columns(given: Iterable[str]) -> list[str]:
    """Return the system columns among ``given``, the one that tells the changes of a changing result among them."""
    return [name for name in given if name in (*SYSTEM_COLUMNS, SOURCE_ROW, CHANGE)]


def refuse_changes(given: Iterable[str], where: str) -> None:
    """Refuse a changing result. Raises ConfigError."""
    if CHANGE in given:
        raise ConfigError(
            "takes no rows of a result that changes", where=where, hint="put it before the group_by, or emit: final"
        )


def kept_keys(keys: Sequence[str], names: Mapping[str, str], where: str) -> list[str]:
    """Return what the keys of a changing result are called afterwards, ``names`` being old name to new.

    Raises ConfigError for a key that is lost: rows of such a result are found by their keys.
    """
    lost = [name for name in keys if name not in names]
    if lost:
        raise ConfigError(
            f"leaves out {', '.join(lost)}, by which the rows of a changing result are found",
            where=where,
            hint="keep all columns that the result is grouped by",
        )
    return [names[name] for name in keys]


def refuse_twice(names: Iterable[str], where: str) -> None:
    """Refuse a name that comes twice. Raises ConfigError."""
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise ConfigError(f"two columns would be named {name!r}", where=where, hint="rename or drop one of them")
        seen.add(name)


def try_on_empty(given: pl.Schema, change: Callable[[pl.LazyFrame], pl.LazyFrame], where: str) -> pl.Schema:
    """Return the columns after ``change``, found by running it over no rows. Raises ConfigError."""
    import polars as pl

    try:
        return change(pl.LazyFrame(schema=given)).collect().schema
    except pl.exceptions.PolarsError as exc:
        raise ConfigError(plain_message(exc), where=where, hint="look at the types of the columns") from exc
