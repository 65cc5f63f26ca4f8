"""The transforms of a pipeline as chains: its own list, and that of each source beside the main one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from etl.flow import MAIN_ROLE, Flow
from etl.model import CHANGE
from etl.transforms.columns import kept_keys
from etl.watermark import Rule

if TYPE_CHECKING:
    import polars as pl

    from etl.sinks.contract import SinkMemory
    from etl.transforms.contract import Stateful, Transform

MAIN = ""
"""The name of the chain that the pipeline's own list of transforms is; others have the name of their source."""


SINK = "sink"
"""The name that the state of the own sink lies under, with the role behind it that of another; no transform has it."""


OF_WHOLE_BATCHES = ("python", "sql", "map_batches")
"""Transforms that may look at all rows of a batch together: without some of its files, others may come out of it."""


def chains(flow: Flow) -> list[str]:
    """Return the names of all chains, the pipeline's own first."""
    return [MAIN, *(branch.name for branch in flow.branches)]


def steps_of_chain(flow: Flow, chain: str) -> Sequence[Transform]:
    """Return the transforms of a chain, in order."""
    if chain == MAIN:
        return flow.transforms
    return next(branch.transforms for branch in flow.branches if branch.name == chain)


def steps_of(flow: Flow) -> Sequence[Transform]:
    """Return everything that the main rows pass through, in order: the transforms, then what they must satisfy."""
    return flow.transforms if flow.expectations is None else [*flow.transforms, flow.expectations]


def keeps_source_row(flow: Flow) -> bool:
    """Tell whether a row may have to be kept as it came from its source."""
    own = [step for branch in flow.branches for step in branch.transforms]
    return any(getattr(step, "keeps_rows", False) for step in (*steps_of(flow), *own))


def state_ids(flow: Flow) -> dict[int, str]:
    """Return the name that the state of each stateful transform lies under, by the transform's ``id()``.

    It is the label, with its number among those of the same label in its chain, and the source's name where the chain
    is a source's own: adding a filter changes no name.
    """
    found: dict[int, str] = {}
    for chain in chains(flow):
        seen: Counter[str] = Counter()
        for step in steps_of_chain(flow, chain):
            if getattr(step, "is_stateful", False):
                seen[step.label] += 1
                number = f"-{seen[step.label]}" if seen[step.label] > 1 else ""
                found[id(step)] = f"{chain}.{step.label}{number}" if chain else f"{step.label}{number}"
    return found


def stateful_steps(flow: Flow) -> dict[str, Stateful]:
    """Return the stateful transforms by the name of their state."""
    names = state_ids(flow)
    steps: Iterable[Any] = (step for chain in chains(flow) for step in steps_of_chain(flow, chain))
    return {names[id(step)]: step for step in steps if id(step) in names}


def memory_name(role: str) -> str:
    """Return the name that the state of a sink lies under."""
    return SINK if role == MAIN_ROLE else f"{SINK}-{role}"


def sink_memories(flow: Flow) -> dict[str, SinkMemory]:
    """Return what sinks remember beside their tables, by the names of ``memory_name``."""
    found = {memory_name(outlet.role): getattr(outlet.sink, "memory", None) for outlet in flow.outlets}
    return {name: memory for name, memory in found.items() if memory is not None}


def state_names(flow: Flow) -> list[str]:
    """Return the names that state lies under: those of stateful transforms, and of sinks that remember something."""
    return [*stateful_steps(flow), *sink_memories(flow)]


def clock_rules(flow: Flow) -> dict[str, Rule]:
    """Return the rule of each clock, by its chain; the last ``watermark`` of a chain counts."""
    found: dict[str, Rule] = {}
    for chain in chains(flow):
        for step in steps_of_chain(flow, chain):
            rule = getattr(step, "rule", None)
            if isinstance(rule, Rule):
                found[chain] = rule
    return found


def keys_before(flow: Flow, chain: str) -> list[str] | None:
    """Return the keys of the changing result that a chain begins with, None where its source's rows stay."""
    found: list[str] | None = getattr(flow.sources[chain or flow.source_name], "result_keys", None)
    return found


def keys_after(step: Any, given: pl.Schema, found: pl.Schema, keys: list[str] | None) -> list[str] | None:  # noqa: ANN401  a transform
    """Return the keys of a changing result behind a transform, None where the rows are no such result.

    Raises ConfigError where the transform loses one.
    """
    if CHANGE not in found:
        return None
    if hasattr(step, "result_keys"):
        return list(step.result_keys(given))
    if keys is None or hasattr(step, "kept_keys"):
        return None if keys is None else list(step.kept_keys(keys))
    return kept_keys(keys, {name: name for name in keys if name in found}, "")


def delays(flow: Flow) -> dict[int, int]:
    """Return how far behind the watermark the input of each stateful transform may lie, by the transform's ``id()``.

    Microseconds: the sum of what the transforms before it hold rows back (their ``behind_us``), of the slowest input.
    For a transform behind others the watermark is so much earlier, or what comes out of those would be late.
    *Source*: Spark ``WatermarkPropagator``.
    """
    found: dict[int, int] = {}

    def after(chain: str) -> int:
        behind_us = 0
        for step in steps_of_chain(flow, chain):
            behind_us = max([behind_us, *(after(name) for name in getattr(step, "inputs", ()))])
            found[id(step)] = behind_us
            behind_us += int(getattr(step, "behind_us", 0))
        return behind_us

    after(MAIN)
    return found
