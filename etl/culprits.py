"""Which transform of which source an error of a whole batch comes from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from etl.chains import steps_of
from etl.transforms.blame import RowsAfter, blamed

if TYPE_CHECKING:
    import polars as pl

    from etl.flow import Branch, Flow
    from etl.transforms.contract import Transform


def culprit(
    error: BaseException, flow: Flow, beside: Sequence[str], flowed: Callable[[Flow], pl.LazyFrame]
) -> BaseException:
    """Return ``error`` as a TransformError that names the transform, or as it is where none fails.

    ``flowed`` reads everything again and lets it pass through a part of the pipeline: first that of each source
    ``beside`` the main one, with one transform more each time, then the whole list.
    """
    for branch in flow.branches:
        if branch.name in beside:
            found = blamed(error, branch.transforms, _after_own(branch, flow, flowed), f"sources.{branch.name}.")
            if found is not error:
                return found
    steps = steps_of(flow)
    own, listed = steps[: flow.own], steps[flow.own :]

    def after(some: Sequence[Transform]) -> pl.LazyFrame:
        return flowed(replace(flow, transforms=tuple(some), expectations=None))

    found = blamed(error, own, after, flow.block_of(0)) if own else error
    return blamed(error, listed, lambda further: after([*own, *further])) if found is error else found


def _after_own(branch: Branch, flow: Flow, flowed: Callable[[Flow], pl.LazyFrame]) -> RowsAfter:
    """Return what lets the rows of one source pass through some of its own transforms."""

    def rows(steps: Sequence[Transform]) -> pl.LazyFrame:
        only: Any = (_Only(branch.name),)
        trimmed = replace(branch, transforms=tuple(steps))
        return flowed(replace(flow, transforms=only, branches=(trimmed,), own=0, expectations=None))

    return rows


class _Only:
    """Takes in the rows of one source and leaves the main ones out."""

    label = "only"

    def __init__(self, name: str) -> None:
        self.inputs = (name,)

    def combine(self, _rows: pl.LazyFrame, others: tuple[pl.LazyFrame, ...]) -> pl.LazyFrame:
        """Return the rows of the source."""
        return others[0]
