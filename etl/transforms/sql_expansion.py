"""A query as the transforms that it is planned onto."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeAlias

from pydantic import ValidationError

from etl.balance import Tally
from etl.errors import ConfigError
from etl.model import BatchPlan
from etl.transforms.contract import TransformSite
from etl.transforms.sql_planning import planned
from etl.transforms.sql_planning_parts import PlannedStep, Scope

if TYPE_CHECKING:
    import polars as pl

Kinds: TypeAlias = "Callable[[str], Any]"
"""Gives the class of a transform by its key, None where there is none."""


class Unambiguous:
    """Refuses rows with a column of a name by which a query means an item of its SELECT list; changes nothing."""

    label = "sql"

    def __init__(self, names: Sequence[str], site: TransformSite) -> None:
        self._names = names
        self._where = site.place(self.label)

    def output_schema(self, given: pl.Schema) -> pl.Schema:
        """Return ``given``. Raises ConfigError."""
        for name in self._names:
            if name in given:
                raise ConfigError(
                    f"{name!r} is a column and an item of SELECT",
                    where=self._where,
                    hint="write the expression instead",
                )
        return given

    def kept_keys(self, keys: Sequence[str]) -> list[str]:
        """Return the keys of a changing result as they are."""
        return list(keys)

    def apply(self, rows: pl.LazyFrame, _plan: BatchPlan, _tally: Tally) -> pl.LazyFrame:
        """Return ``rows``."""
        return rows


def expanded(text: str, site: TransformSite, scope: Scope, kinds: Kinds) -> list[Any]:
    """Return the transforms that carry out a query, in order. Raises ConfigError with its place and the clause."""
    where = site.place("sql")
    try:
        steps = planned(text, scope)
    except ConfigError as exc:
        raise ConfigError(exc.message, where=where, hint=exc.hint) from exc.__cause__
    last = max((place for place, step in enumerate(steps) if _is_stateful(kinds(step.key))), default=-1)
    found: list[Any] = []
    seen: Counter[tuple[str, str]] = Counter()
    for place, step in enumerate(steps):
        seen[step.clause, step.key] += 1
        times = seen[step.clause, step.key]
        number = f" {times}" if step.clause and times > 1 else ""
        own = replace(site, key="sql", clause=f"{step.clause}{number}", is_whole=site.is_whole and place == last)
        if step.absent:
            found.append(Unambiguous(step.absent, own))
        found.append(_made(step, replace(own, has_watermark=False) if step.is_timeless else own, kinds))
    return found


def _is_stateful(kind: Any) -> bool:  # noqa: ANN401  a class of transforms
    return bool(getattr(kind, "is_stateful", False))


def _made(step: PlannedStep, site: TransformSite, kinds: Kinds) -> Any:  # noqa: ANN401  a transform
    kind, where = kinds(step.key), site.place(step.key)
    if kind is None:
        raise ConfigError(f"needs the transform {step.key}, and there is none", where=where)
    try:
        options = kind.options_model.model_validate(step.options)
    except ValidationError as exc:
        first = exc.errors()[0]
        raise ConfigError(f"{step.key}: {first['msg']}", where=where, hint="write the query in another way") from exc
    return kind(options, site)
