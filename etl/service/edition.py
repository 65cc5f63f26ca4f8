"""The definition that a pipeline runs by, and an edited one that is offered to its runner between batches."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from etl.config.definition import definition_hash
from etl.config.wiring import wire
from etl.errors import ConfigError

if TYPE_CHECKING:
    from etl.config.specification import PipelineSpec
    from etl.model import BatchPlan, BatchResult
    from etl.operations.workspace import Workspace
    from etl.pipeline import Pipeline
    from etl.progress import Reporter
    from etl.seam import Seam


@dataclass(frozen=True, slots=True)
class Definition:
    """What the files of a pipeline say: its own, those of its project. ``digest`` is of what decides its results."""

    workspace: Workspace
    spec: PipelineSpec
    digest: str = ""

    def is_as(self, other: Definition) -> bool:
        """Tell whether the files said the same then."""
        ours, theirs = self.workspace.project, other.workspace.project
        return (self.spec, ours, self.digest) == (other.spec, theirs, other.digest)


def definition_of(workspace: Workspace, spec: PipelineSpec) -> Definition:
    """Return the definition by files as they are now."""
    return Definition(workspace, spec, definition_hash(spec, workspace.project))


class Edition:
    """The definition in force. ``told`` hears what became of an edited one: nothing where it was taken, else why not.

    ``reporter`` is what the runner reports to; what it notes last is the reason of a refusal.
    """

    def __init__(
        self, definition: Definition, seam: Seam, reporter: Reporter, told: Callable[[Definition, str], None]
    ) -> None:
        self.current = self.newest = definition
        self.reporter = Memo(reporter)
        self._seam = seam
        self._told = told
        self._proposed: Definition | None = None
        self._offered: tuple[Definition, Pipeline] | None = None
        self._number = 0

    def propose(self, definition: Definition) -> None:
        """Have it taken at the next border between batches. From any thread."""
        self._proposed = self.newest = definition

    def wired(self, definition: Definition) -> Pipeline:
        """Return the pipeline of a definition, which asks for edits between its batches. Raises ConfigError."""
        self._number += 1
        found = wire(definition.spec, definition.workspace.project, self._seam)
        return replace(found, edited=partial(self._edited, self._number))

    @property
    def has_proposed(self) -> bool:
        """Whether something waits to be tried."""
        return self._proposed is not None

    def due(self) -> Definition | None:
        """Return what was proposed, once."""
        proposed, self._proposed = self._proposed, None
        return proposed

    def judge(self, definition: Definition, refusal: str) -> None:
        """Take a definition that was tried, or tell why it was not taken."""
        if not refusal:
            self.current = definition
        elif self.newest is definition:
            self.newest = self.current
        self._told(definition, refusal)

    def _edited(self, number: int) -> Pipeline | None:
        """Return what is offered to a runner that asks between batches; ``number`` tells whose pipeline asks."""
        self.settle(is_taken=number == self._number)
        proposed = self.due()
        if proposed is None:
            return None
        try:
            self._offered = (proposed, self.wired(proposed))
        except ConfigError as exc:
            self.judge(proposed, str(exc))
            raise
        return self._offered[1]

    def settle(self, *, is_taken: bool) -> None:
        """Judge what was offered, by whether the runner goes on with it."""
        offered, self._offered = self._offered, None
        if offered is not None:
            self.judge(offered[0], "" if is_taken else self.reporter.newest)

    def is_run_by(self, pipeline: Pipeline) -> bool:
        """Tell whether a runner's pipeline is the one that was offered last."""
        return self._offered is not None and pipeline is self._offered[1]


class Memo:
    """A reporter that passes everything on and keeps the newest note."""

    def __init__(self, further: Reporter) -> None:
        self._further = further
        self.newest = ""

    def planned(self, pipeline: str, plan: BatchPlan) -> None:
        """Pass on."""
        self._further.planned(pipeline, plan)

    def committed(self, result: BatchResult) -> None:
        """Pass on."""
        self._further.committed(result)

    def noted(self, pipeline: str, message: str) -> None:
        """Keep and pass on."""
        self.newest = message
        self._further.noted(pipeline, message)
