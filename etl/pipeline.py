"""The wired, frozen whole: what the engine runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from etl.checkpoint.generations import records_of
from etl.flow import Flow
from etl.model import ReadLimit
from etl.project import Project
from etl.sinks.contract import Sink
from etl.sources.contract import Source
from etl.storage import Storage
from etl.transforms.contract import Transform


def _as_it_was() -> None:
    """Return what a pipeline has become that nobody edits."""


@dataclass(frozen=True, slots=True)
class Pipeline:
    """What rows pass through, where the progress is kept, and how much a batch takes of the main source.

    ``definition`` is the hash of what decides the results. ``checkpoint`` is the whole folder, of which the records of
    ``generation`` count. ``max_latency_s`` is how long a continuous run waits for a batch to fill. ``edited`` is asked
    between batches: where its files were edited since, it gives the pipeline that they declare now, and else None.
    ``refreshes_at_once``: the first batch of a full refresh takes all that there is, whatever the limits say.
    """

    flow: Flow
    checkpoint: Storage
    limit: ReadLimit
    definition: str
    project: Project
    trigger: str = "available_now"
    generation: int = 1
    max_latency_s: float = 0.0
    edited: Callable[[], Pipeline | None] = field(default=_as_it_was, compare=False)
    refreshes_at_once: bool = False

    @property
    def name(self) -> str:
        """The pipeline's name."""
        return self.flow.name

    @property
    def source(self) -> Source:
        """Where rows come from: the main source."""
        return self.flow.source

    @property
    def sources(self) -> Mapping[str, Source]:
        """The same and those beside it, by name."""
        return self.flow.sources

    @property
    def limits(self) -> Mapping[str, ReadLimit]:
        """How much of each source one batch takes."""
        return {self.flow.source_name: self.limit, **{branch.name: branch.limit for branch in self.flow.branches}}

    def limits_of(self, *, is_replacing: bool) -> Mapping[str, ReadLimit]:
        """Return the same for a batch that may be the first of a full refresh."""
        if is_replacing and self.refreshes_at_once:
            return dict.fromkeys(self.limits, ReadLimit())
        return self.limits

    @property
    def transforms(self) -> Sequence[Transform]:
        """What happens to them, in order."""
        return self.flow.transforms

    @property
    def sink(self) -> Sink:
        """Where they go."""
        return self.flow.sink

    @property
    def records(self) -> Storage:
        """Where the records of the generation lie that counts."""
        return records_of(self.checkpoint, self.generation)

    @property
    def url(self) -> str:
        """The checkpoint folder, whole."""
        return self.checkpoint.url
