"""What ``group_by`` may be told, and what it means."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from etl.errors import ConfigError
from etl.options import DurationS, Options
from etl.sql_writer import quoted
from etl.transforms.columns import refuse_reserved, refuse_twice
from etl.transforms.contract import TransformSite
from etl.transforms.sessions import Sessions
from etl.transforms.windows import END, START, Window

_MICROSECONDS = 1_000_000
_OURS = ("_change", "_rows", "_etl", "_expires", "_is_closed")


class WindowOptions(Options):
    """Windows over event time, of a fixed width or as long as a session lasts."""

    column: str = Field(min_length=1, description="the column of event time: a timestamp or a date")
    every: DurationS | None = Field(default=None, description="a window starts this often")
    period: DurationS | None = Field(default=None, description="how long each lasts; default: `every`")
    offset: DurationS | None = Field(default=None, description="when the first starts, after 1970-01-01 UTC")
    session_gap: DurationS | None = Field(default=None, description="a session ends when nothing comes for so long")


class GroupByOptions(Options):
    """Groups, windows, and what is computed of each."""

    by: list[str] | dict[str, str] = Field(default_factory=list, description="columns, or name: expression")
    window: WindowOptions | None = Field(default=None, description="windows over event time")
    aggregate: dict[str, str] = Field(default_factory=dict, description="name: aggregate, such as SUM(amount)")
    emit: Literal["final", "updates"] | None = Field(
        default=None,
        description="final: each window once, when it is over; updates: what changed, with every batch. "
        "Default: final where there are a window and a watermark",
    )


def groups_of(options: GroupByOptions, where: str) -> dict[str, str]:
    """Return the groups, name to expression. Raises ConfigError for names that cannot be, or come twice."""
    names = list(options.by)
    by = dict(options.by) if isinstance(options.by, dict) else {name: quoted(name) for name in names}
    refuse_reserved([*names, *options.aggregate], where)
    for name in (*names, *options.aggregate):
        if name.startswith(_OURS):
            raise ConfigError(f"{name!r} is a name of our own", where=where, hint="use another, without the underscore")
    refuse_twice([*names, *(() if options.window is None else (START, END)), *options.aggregate], where)
    if not names and not options.aggregate:
        raise ConfigError("nothing to group by", where=where, hint="say `by`, or `aggregate`, or both")
    return by


def window_of(options: WindowOptions | None, where: str) -> Window | Sessions | None:
    """Return the windows. Raises ConfigError for lengths that do not go together."""
    if options is None:
        return None
    every, period, offset, gap = (
        None if length is None else round(length * _MICROSECONDS)
        for length in (options.every, options.period, options.offset, options.session_gap)
    )
    if gap is not None:
        if every is not None or period is not None or offset is not None:
            raise ConfigError("a session has no fixed width", where=where, hint="say session_gap alone, or every")
        if gap == 0:
            raise ConfigError("session_gap: 0s ends every session at once", where=where, hint="say a longer one")
        return Sessions(options.column, gap)
    if not every:
        raise ConfigError("how wide are the windows?", where=where, hint="say every: 5m, or session_gap: 30m")
    period = every if period is None else period
    if period < every:
        raise ConfigError(
            "period is shorter than every: rows between the windows would be lost",
            where=where,
            hint="make period at least as long as every, and filter the rows that you do not want before",
        )
    return Window(options.column, every, period, (offset or 0) % every)


def emits_final(emit: str | None, site: TransformSite, where: str, *, has_window: bool) -> bool:
    """Tell whether windows are given once, when they are final. Raises ConfigError where they never would be."""
    if emit == "final" and not has_window:
        raise ConfigError("without a window no group is ever final", where=where, hint="say window; or emit: updates")
    if emit == "final" and not site.has_watermark:
        raise ConfigError(
            "without a watermark no window is ever final",
            where=where,
            hint="put before it: watermark: {column: …, delay: …}; or emit: updates",
        )
    if emit == "final" and site.is_whole:
        raise ConfigError(
            "emit: final gives each window once, and write_mode: overwrite would drop those before it",
            where=where,
            hint="write_mode: append; or emit: updates, which keeps all windows in the state",
        )
    return emit != "updates" and has_window and site.has_watermark and not site.is_whole
