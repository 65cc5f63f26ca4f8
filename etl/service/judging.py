"""What a run's end means for its pipeline: on as before, tried again later, or paused until a person looks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from etl.errors import EtlError, FencedError, LeaseHeldError
from etl.secrets import mask
from etl.service.member import delay_after
from etl.service.seat import REFUSED

if TYPE_CHECKING:
    from etl.service.member import Member
    from etl.service.timing import Instant

LEASE_PATIENCE_S = 5.0
"""How long to wait for somebody else's run of the same pipeline before it is tried again."""

Told = list[tuple[str, str]]
"""Happenings to come: kind and message."""


def judge(member: Member, error: BaseException | None, now: Instant, retries: int, chance: float) -> Told:
    """Note how a run ended; return what there is to tell. *Raises* nothing."""
    member.retry_s = None
    if error is None:
        return _well(member)
    text = text_of(error)
    member.is_wanted = True
    if isinstance(error, LeaseHeldError | FencedError):
        is_known, member.reason = member.reason == text, text
        member.retry_s = now.s + LEASE_PATIENCE_S
        return [] if is_known else [("noted", text)]
    member.failures += 1
    member.reason = text
    told: Told = [("failed", text)]
    if isinstance(error, EtlError) and error.exit_code in REFUSED:
        member.is_paused = True
        return [*told, ("paused", "it needs a person: no further try would end otherwise")]
    if member.failures > retries:
        member.is_paused = True
        return [*told, ("paused", f"it failed {member.failures} times in a row")]
    member.retry_s = now.s + delay_after(member.failures, chance)
    return told


def _well(member: Member) -> Told:
    told: Told = [("recovered", f"after {member.failures} failed")] if member.failures else []
    member.failures = 0
    if not member.is_paused:
        member.reason = ""
    return [*told, ("ended", "")]


def text_of(error: BaseException) -> str:
    """Return an error for people, without secrets."""
    if isinstance(error, EtlError):
        return mask(str(error))
    return mask(f"internal error: {type(error).__name__}: {error}")


def revive(member: Member) -> None:
    """Forget failures and what followed from them."""
    member.is_paused = member.is_paused_by_person = False
    member.failures = 0
    member.reason = ""
    member.retry_s = None
    member.is_wanted = True
