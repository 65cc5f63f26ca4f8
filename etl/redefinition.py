"""What an edited pipeline does to what earlier definitions of it remember: go on, begin empty, or be refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from etl.chains import state_names, stateful_steps
from etl.checkpoint.recovery import refresh_command
from etl.errors import ConfigError, StateError
from etl.flow_schema import FlowColumns

if TYPE_CHECKING:
    from etl.flow import Flow
    from etl.model import Manifest, Schema, StateRef
    from etl.state.contract import TableLayout
    from etl.state.fingerprints import Comparison, Verdict
    from etl.state.reading import StateReader
    from etl.storage import Storage
    from etl.transforms.contract import Stateful

_WORST_FIRST: tuple[Verdict, ...] = ("refused", "compatible")


@dataclass(frozen=True, slots=True)
class Outlook:
    """What becomes of the state of a transform, by its name. ``details`` say why, for people.

    ``compatible`` goes on with what ``details`` name, ``new`` starts empty; ``refused`` and ``gone`` stop the pipeline.
    """

    transform: str
    verdict: Literal["same", "compatible", "new", "refused", "gone"]
    details: tuple[str, ...] = ()
    place: str = ""

    @property
    def is_refused(self) -> bool:
        """Whether the pipeline cannot go on."""
        return self.verdict in ("refused", "gone")


def outlooks(
    flow: Flow, storage: Storage, refs: Mapping[str, StateRef], schemas: Mapping[str, Schema]
) -> tuple[Outlook, ...]:
    """Return what becomes of the state that the newest batch left; nothing is written, no row is read.

    ``storage`` holds the states of all transforms. ``schemas`` are those of the sources; where a transform does not go
    with them, only what is gone is told: the batch fails with the reason. Raises StateError where a state is damaged.
    """
    steps = stateful_steps(flow)
    known = state_names(flow)
    gone = tuple(Outlook(name, "gone", ("the pipeline no longer has it",)) for name in refs if name not in known)
    columns = FlowColumns(flow, schemas)
    try:
        layouts = {name: step.layouts(*columns.inputs_of(step)) for name, step in steps.items()}
    except ConfigError:
        return gone
    from etl.state.reading import StateReader

    readers = {name: StateReader(storage.at(name), refs[name]) if name in refs else None for name in steps}
    return (*(_outlook(name, step, readers[name], layouts[name]) for name, step in steps.items()), *gone)


def _outlook(name: str, step: Stateful, reader: StateReader | None, layouts: Mapping[str, TableLayout]) -> Outlook:
    """Return what becomes of the state of a transform, None for none yet. ``layouts`` are the tables that it wants."""
    place = getattr(step, "_where", "") or step.label
    if reader is None:
        return Outlook(name, "new", ("is new and starts empty",), place)
    found = _comparisons(step, reader, layouts)
    for verdict in _WORST_FIRST:
        details = [text for each in found if each.verdict == verdict for text in each.details]
        if details:
            return Outlook(name, verdict, tuple(dict.fromkeys(details)), place)
    return Outlook(name, "same", place=place)


def _comparisons(step: Stateful, reader: StateReader, layouts: Mapping[str, TableLayout]) -> list[Comparison]:
    """Return what becomes of a state as a whole, and where that goes on of each table."""
    from etl.state.fingerprints import compare
    from etl.state.layouts import compare_layouts

    whole = compare(reader.fingerprint, step.fingerprint())
    if whole.verdict == "refused":  # what the tables say follows from that
        return [whole]
    tables = reader.tables
    known = {name: layout for name, layout in layouts.items() if name in tables}
    return [whole, *(compare_layouts(tables[name].layout, layout, where=name) for name, layout in known.items())]


def refusal(flow: Flow, found: tuple[Outlook, ...]) -> StateError | None:
    """Return the error of a pipeline that cannot go on with what it remembers, None where it can."""
    refused = [each for each in found if each.is_refused]
    if not refused:
        return None
    changed = [f"its definition changed: {'; '.join(each.details)}" for each in refused if each.verdict == "refused"]
    gone = ", ".join(each.transform for each in refused if each.verdict == "gone")
    lost = [f"there is state of transforms that the pipeline no longer has: {gone}"] if gone else []
    others = [f"{each.place}: {text}" for each, text in zip(refused[1:], changed[1:], strict=False)]
    return StateError(
        "\n  ".join([*changed[:1], *others, *lost]),
        where=refused[0].place or flow.name,
        hint=f"undo the change, or build state and table anew from the first file on: {refresh_command(flow.name)}",
    )


def carried_over(
    flow: Flow, storage: Storage, manifests: Sequence[Manifest], schemas: Mapping[str, Schema]
) -> list[str]:
    """Return what there is to say of state that goes on another way than it was left by the last of ``manifests``.

    Raises StateError as ``refusal`` tells, before anything is planned.
    """
    found = outlooks(flow, storage, manifests[-1].state, schemas) if manifests else ()
    error = refusal(flow, found)
    if error is not None:
        raise error
    told = [each for each in found if each.verdict in ("compatible", "new")]
    return [f"{each.transform}: {'; '.join(each.details)}" for each in told]
