"""Trying whether the receivers of alerts can be reached."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from etl.errors import ConfigError, EtlError
from etl.notifying import CONDITIONS, Message, Receiver, send
from etl.vocabulary import nearest

if TYPE_CHECKING:
    from datetime import datetime

    from etl.seam import Seam


def chosen(receivers: Sequence[Receiver], names: Sequence[str]) -> list[Receiver]:
    """Return the receivers of these names, all where none is named. Raises ConfigError for one that there is not."""
    if not receivers:
        raise ConfigError(
            "nobody is told of anything",
            where="alerts",
            hint="add one to etl.yml: alerts: [{name: ops, url: https://…}]",
        )
    known = {each.name: each for each in receivers}
    for name in names:
        if name not in known:
            hint = f"known: {', '.join(known)}"
            raise ConfigError(f"unknown receiver '{name}'{nearest(name, known)}", where="alerts", hint=hint)
    return [known[name] for name in names] or list(receivers)


def tried(receivers: Sequence[Receiver], seam: Seam) -> list[tuple[str, str]]:
    """Send each a trial message; return its name, and why it could not be reached, empty where it was."""
    return [(each.name, _trouble(each, seam)) for each in receivers]


def trial_message(receiver: Receiver, at: datetime) -> Message:
    """Return what is sent to see whether a receiver gets it."""
    text = f"{receiver.name} is told of: {', '.join(each for each in CONDITIONS if each in receiver.when)}"
    return Message("etl: a trial message", text, {"event": "trial", "at": at.isoformat()}, is_trouble=False)


def _trouble(receiver: Receiver, seam: Seam) -> str:
    try:
        send(receiver, trial_message(receiver, seam.now()))
    except EtlError as exc:
        return f"{exc.message}; {exc.hint}" if exc.hint else exc.message
    return ""
