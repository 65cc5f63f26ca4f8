"""One call of a user's function over key groups: what it is given, and what it may return."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from etl.errors import ConfigError, TransformError
from etl.expressions import plain_message
from etl.model import SYSTEM_COLUMNS
from etl.transforms.casting import check_cast, exact_cast

if TYPE_CHECKING:
    import polars as pl

    from etl.user_functions import UserFunction

_GROUP = "_group"
_PARTS = 2
ORIGIN = ("_source_file", "_source_offset", "_source_modified_at")
"""The system columns that a function is given and may return."""


@dataclass(frozen=True, slots=True)
class Batch:
    """What a function is told of its batch.

    ``watermark`` is where event time stands once the rows of the batch are read, None where there is none (yet).
    ``expired`` are the keys whose timeout is up; none of them has rows in the same call.
    """

    id: int
    at: datetime
    watermark: datetime | None
    expired: pl.DataFrame


@dataclass(frozen=True, slots=True)
class Returned:
    """The rows of a call, and the state of its keys after it."""

    rows: pl.DataFrame
    state: pl.DataFrame


@dataclass(frozen=True, slots=True)
class KeyedCall:
    """How a function is called: its keys, the columns of its state, and the rows that it gives (None: any).

    ``is_per_key``: once for each key, and not once for all of them.
    """

    function: UserFunction
    keys: tuple[str, ...]
    state: Mapping[str, pl.DataType]
    output: Mapping[str, pl.DataType] | None
    is_per_key: bool
    is_many: bool
    where: str

    def __call__(self, rows: pl.DataFrame, state: pl.DataFrame, batch: Batch) -> Returned:
        """Return what the function makes of rows and state. Raises TransformError naming the wrong column."""
        if not self.is_per_key or not (rows.height or batch.expired.height):
            return self._once(rows, state, batch)
        import polars as pl

        parts = [self._once(*group) for group in _groups(self.keys, rows, state, batch)]
        return Returned(pl.concat([part.rows for part in parts]), pl.concat([part.state for part in parts]))

    def _once(self, rows: pl.DataFrame, state: pl.DataFrame, batch: Batch) -> Returned:
        found = self.function(rows, state, batch)
        if not isinstance(found, tuple) or len(found) != _PARTS:
            raise self._fault(f"returned {_kind(found)}, not two frames", "write: return rows, state")
        made, after = found
        output = self.output
        if output is not None:
            made = self._fitted(made, output, "rows")
        elif not _is_frame(made):
            raise self._fault(f"returned rows that are {_kind(made)}, not a DataFrame", "return frames: rows, state")
        after = self._fitted(after, self.state, "state")
        self._check_keys(rows, after, batch)
        return Returned(made, after)

    def _fitted(self, found: Any, wanted: Mapping[str, pl.DataType], what: str) -> pl.DataFrame:  # noqa: ANN401  unknown
        """Return a frame with exactly the columns ``wanted``. A number may come in another type that holds it."""
        if not _is_frame(found):
            raise self._fault(f"returned {what} that are {_kind(found)}, not a DataFrame", "return frames: rows, state")
        frame: pl.DataFrame = found
        lacking = [name for name in wanted if name not in frame.columns]
        foreign = [name for name in frame.columns if name not in wanted and name not in SYSTEM_COLUMNS]
        if lacking or foreign:
            trouble = (
                f"without {', '.join(lacking)}" if lacking else f"with {', '.join(foreign)}, which is not declared"
            )
            raise self._fault(f"returned {what} {trouble}", f"its columns are {', '.join(wanted)}")
        return frame.select(self._column(frame[name], kind, what) for name, kind in wanted.items())

    def _column(self, values: pl.Series, target: pl.DataType, what: str) -> pl.Series:
        import polars as pl

        if values.dtype in (target, pl.Null):
            return values.cast(target)
        trouble = f"returned {what} whose column {values.name} is {values.dtype}, not {target}"
        hint = "cast it in the function, or declare another type"
        if (values.dtype == pl.String) != (target == pl.String):
            raise self._fault(trouble, hint)
        try:
            check_cast(values.dtype, target)
            cast, is_lost = exact_cast(values, target)
        except (ConfigError, pl.exceptions.PolarsError) as exc:
            raise self._fault(f"{trouble}: {_reason(exc)}", hint) from exc
        if is_lost.any():
            raise self._fault(f"{trouble}, and {values.filter(is_lost)[0]!r} does not fit", hint)
        return cast

    def _check_keys(self, rows: pl.DataFrame, after: pl.DataFrame, batch: Batch) -> None:
        """Refuse state of keys that the function was not asked about, and a key twice where it may have one row."""
        keys = list(self.keys)
        foreign = after
        for asked in (rows, batch.expired):
            foreign = foreign.join(asked.select(keys), on=keys, how="anti", nulls_equal=True)
        if foreign.height:
            raise self._fault(
                f"returned state of {_key(foreign, keys)}, which has no rows in this call and is not expired",
                "return state of the keys of rows and batch.expired alone",
            )
        if not self.is_many and (is_twice := after.select(keys).is_duplicated()).any():
            raise self._fault(
                f"returned two rows of state for {_key(after.filter(is_twice), keys)}",
                "return one row for each key, or say `rows_per_key: many`",
            )

    def _fault(self, message: str, hint: str) -> TransformError:
        return TransformError(f"{self.function.name} {message}", where=self.where, hint=hint)


def _groups(
    keys: Sequence[str], rows: pl.DataFrame, state: pl.DataFrame, batch: Batch
) -> list[tuple[pl.DataFrame, pl.DataFrame, Batch]]:
    """Return rows, state and batch of each key by itself; rows keep their order."""
    import polars as pl

    on = list(keys)
    asked = pl.concat([rows.select(on), batch.expired]).unique(maintain_order=True).with_row_index(_GROUP)

    def cut(frame: pl.DataFrame) -> dict[tuple[object, ...], pl.DataFrame]:
        numbered = frame.join(asked, on=on, how="left", nulls_equal=True, maintain_order="left")
        return numbered.partition_by(_GROUP, as_dict=True, include_key=False)

    by_key = [cut(frame) for frame in (rows, state, batch.expired)]
    empty = [frame.clear() for frame in (rows, state, batch.expired)]
    found = []
    for number in range(asked.height):
        own_rows, own_state, expired = (parts.get((number,), none) for parts, none in zip(by_key, empty, strict=True))
        found.append((own_rows, own_state, replace(batch, expired=expired)))
    return found


def _is_frame(found: object) -> bool:
    import polars as pl

    return isinstance(found, pl.DataFrame)


def _kind(found: object) -> str:
    return f"a tuple of {len(found)}" if isinstance(found, tuple) else type(found).__name__


def _key(frame: pl.DataFrame, keys: Sequence[str]) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in zip(keys, frame.select(keys).row(0), strict=True))


def _reason(exc: Exception) -> str:
    import polars as pl

    return plain_message(exc) if isinstance(exc, pl.exceptions.PolarsError) else str(exc).split("\n", 1)[0]
