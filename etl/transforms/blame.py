"""Which transform an error of a whole batch comes from, found by running the batch again step by step."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol, TypeAlias, runtime_checkable

from etl.errors import EtlError, TransformError
from etl.expressions import plain_message
from etl.transforms.contract import Transform

if TYPE_CHECKING:
    import polars as pl

RowsAfter: TypeAlias = "Callable[[Sequence[Transform]], pl.LazyFrame]"
"""Gives the rows of a batch behind some transforms."""

_NARROWED = re.compile(r"conversion from `i128` to `([iu]\d+)` failed in column .* values: \[(.*)\]", re.DOTALL)
_PANIC = "PanicException"
_WORDS = {"i": "int", "u": "uint"}


@runtime_checkable
class Divisible(Protocol):
    """A transform of several expressions."""

    def parts(self) -> Mapping[str, Transform]:
        """Return one transform per expression, by its text."""


def is_failure_of_polars(error: BaseException) -> bool:
    """Tell whether Polars failed: with an error of its own, or with a panic in Rust, which is no Exception.

    Every Rust library has a PanicException of its own, so that it is known by its name.
    """
    import polars as pl

    return isinstance(error, pl.exceptions.PolarsError) or type(error).__name__ == _PANIC


def blamed(
    error: BaseException, transforms: Sequence[Transform], rows_after: RowsAfter, block: str = ""
) -> BaseException:
    """Return ``error`` as a TransformError that names the transform, or as it is where none fails.

    Called after the rows of a batch have failed to flow; ``rows_after`` gives the rows behind the first of the
    transforms, again, as often as there are transforms and expressions. ``block`` stands before the place where they
    are a source's own. Polars names neither of them, and looking while rows flow would cost every batch. An error of
    ours already says where it comes from.
    """
    if isinstance(error, EtlError):
        return error
    for index in range(len(transforms) + 1):
        again = _failure(transforms[:index], rows_after)
        if again is None:
            continue
        if index == 0 or isinstance(again, EtlError):
            return again
        step = transforms[index - 1]
        where = getattr(step, "_where", "") or f"{block}transforms[{index - 1}].{step.label}"
        text = _culprit(transforms[: index - 1], transforms[index - 1], rows_after)
        return TransformError(text + reason(again), where=where, hint="look at the rows: etl preview")
    return error


def _culprit(before: Sequence[Transform], step: Transform, rows_after: RowsAfter) -> str:
    """Return the expression of ``step`` that fails by itself, with a colon; empty where there is none."""
    if not isinstance(step, Divisible):
        return ""
    parts = step.parts()
    return next((f"{text}: " for text, part in parts.items() if _failure([*before, part], rows_after)), "")


def reason(error: BaseException) -> str:
    """Return what a failure of Polars says about the data, in our words where an integer did not fit."""
    message = plain_message(error)
    if type(error).__name__ == _PANIC:
        return f"Polars broke off: {message}"
    narrowed = _NARROWED.search(message)
    if narrowed is None:
        return message
    kind = _WORDS[narrowed[1][0]] + narrowed[1][1:]
    return f"a result does not fit {kind}: {narrowed[2]}"


def _failure(transforms: Sequence[Transform], rows_after: RowsAfter) -> BaseException | None:
    try:
        rows_after(transforms).sink_batches(lambda _: None)
    except BaseException as exc:
        if isinstance(exc, Exception) or is_failure_of_polars(exc):
            return exc  # whatever a user's function raises
        raise
    return None
