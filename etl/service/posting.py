"""A definition gets a post: what runs it, and the timer of its trigger."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from etl.service.child import ChildSeat
from etl.service.edition import Edition
from etl.service.member import Post
from etl.service.seat import HouseSeat
from etl.service.timing import Timer, chance, instant

if TYPE_CHECKING:
    from datetime import datetime

    from etl.progress import Reporter
    from etl.seam import Seam
    from etl.service.edition import Definition


def posted(
    definition: Definition,
    seam: Seam,
    reporter: Reporter,
    told: Callable[[Definition, str], None],
    since: datetime | None = None,
) -> Post:
    """Return the post of a definition; ticks after ``since`` were missed."""
    edition = Edition(definition, seam, reporter, told)
    timer = Timer(definition.spec.schedule, partial(chance, seam), instant(seam), since)
    seat = ChildSeat(edition) if definition.spec.is_isolated else HouseSeat(edition, seam)
    return Post(definition.spec, edition, seat, timer)
