"""The versions of all that a batch reads beside its rows, fixed in its plan."""

from __future__ import annotations

from typing import TYPE_CHECKING

from etl.chains import chains, steps_of_chain
from etl.transforms.contract import Pinned

if TYPE_CHECKING:
    from etl.flow import Flow
    from etl.model import Json


def pins_of(flow: Flow) -> dict[str, Json]:
    """Return the present version of each static table, by the transform that joins it. Raises ConfigError."""
    steps = [step for chain in chains(flow) for step in steps_of_chain(flow, chain)]
    return {step.pin_id: step.pin() for step in steps if isinstance(step, Pinned)}
