"""The first rows of a pipeline as its transforms make them. Writes nothing."""

from __future__ import annotations

from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from etl.balance import Tally
from etl.config.faults import nearest
from etl.errors import ConfigError, TransformError
from etl.intake import first_rows
from etl.model import ReadLimit
from etl.operations.looking import look, upcoming, with_current
from etl.pinning import pins_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import polars as pl

    from etl.model import PlannedInput
    from etl.operations.looking import Sight
    from etl.pipeline import Pipeline
    from etl.seam import Seam
    from etl.transforms.contract import Transform

_FILES = 3


@dataclass(frozen=True, slots=True)
class Preview:
    """Rows for looking at. ``is_past``: nothing new waits, so they are of the newest batch, read once more.

    ``rejected`` (``etl.rejects.reject_schema``) are those among the rows looked at that a run would set aside.
    """

    frame: pl.DataFrame
    files: int
    is_past: bool
    rejected: pl.DataFrame


def preview(pipeline: Pipeline, seam: Seam, rows: int, at: str | None = None) -> Preview | None:
    """Return the first rows after every transform, or after the one that ``at`` names; None when there is no input.

    Of a batch only its first few files are read. Raises SourceError, TransformError, ConfigError.
    """
    flow = pipeline.flow
    if at is not None:
        kept = _place(flow.transforms[flow.own :], at) + flow.own + 1
        flow = replace(flow, transforms=flow.transforms[:kept], expectations=None)
    sight = look(pipeline, seam)
    inputs, is_past = _inputs(sight)
    if not inputs:
        return None

    def attempt(current: Mapping[str, PlannedInput]) -> tuple[pl.DataFrame, pl.DataFrame]:
        intake = sight.intake(current, seam.now())
        plan = replace(intake.plan, pins=pins_of(flow))
        tally = Tally()
        frame = _collect(first_rows(flow, plan, intake.foreseen(), tally).head(rows), pipeline.name)
        return frame, tally.rejected.take().sort("_source_file", "_source_offset", maintain_order=True)

    with ExitStack() as open_sources:
        for source in flow.sources.values():
            open_sources.enter_context(closing(source))
        frame, rejected = attempt(inputs) if is_past else with_current(sight, inputs, attempt)
    return Preview(frame, sum(planned.files for planned in inputs.values()), is_past, rejected)


def _inputs(sight: Sight) -> tuple[Mapping[str, PlannedInput], bool]:
    """Return what to read, and whether it was read before."""
    standing = sight.standing
    if standing is not None and standing.plan is not None and sight.is_unfinished:
        return standing.plan.inputs, False
    limits = sight.pipeline.limits
    few = {name: ReadLimit(min(_FILES, each.max_files or _FILES), each.max_bytes) for name, each in limits.items()}
    inputs = upcoming(sight, few)
    if not inputs and standing is not None and standing.plan is not None:
        return standing.plan.inputs, True
    return inputs, False


def _place(transforms: Sequence[Transform], at: str) -> int:
    """Return the place of a transform by its number (from 0) or, where it is the only one, its key."""
    labels = [step.label for step in transforms]
    bare = at.removeprefix("transforms[").removesuffix("]")
    if bare.isdecimal() and int(bare) < len(labels):
        return int(bare)
    if labels.count(at) == 1:
        return labels.index(at)
    known = [f"{index} ({label})" for index, label in enumerate(labels)]
    if at in labels:
        raise ConfigError(f"'{at}' is not the only one; name it by its number: {', '.join(known)}", where="--at")
    raise ConfigError(f"unknown transform '{at}'{nearest(at, known)}", where="--at")


def _collect(rows: pl.LazyFrame, where: str) -> pl.DataFrame:
    from polars.exceptions import PolarsError

    try:
        return rows.collect()
    except PolarsError as exc:
        raise TransformError(str(exc), where=where) from exc
