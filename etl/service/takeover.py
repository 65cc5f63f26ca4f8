"""What becomes of the fleet when files are changed, added or removed."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from etl.config.project_file import PROJECT_FILE
from etl.errors import ConfigError, EtlError
from etl.operations.validation import validate
from etl.service.declarations import told
from etl.service.edition import definition_of
from etl.service.judging import revive
from etl.service.posting import posted

if TYPE_CHECKING:
    from datetime import datetime

    from etl.service.declarations import Reading
    from etl.service.edition import Definition
    from etl.service.fleet import PipelineFleet
    from etl.service.member import Member, Post


class Takeover:
    """Brings what files say into a fleet. ``alive_at`` is when a service was last there: ticks since were missed."""

    def __init__(self, fleet: PipelineFleet, lake: str, alive_at: datetime | None = None) -> None:
        self._fleet = fleet
        self._lake = lake
        self._alive_at = alive_at

    def take(self, reading: Reading) -> None:
        """Take in new pipelines, propose changed ones, let those go whose file is gone; show what is faulty."""
        if reading.project_fault:
            self._show_everywhere(reading.project_fault)
            return
        if reading.workspace.project.lake != self._lake:
            self._show_everywhere(f"{PROJECT_FILE}: the lake is another; end the service and start it anew")
            return
        for name, fault in reading.faults.items():
            self._show(name, fault)
        for name in reading.specs:
            self._take(name, reading)
        known = reading.specs.keys() | reading.faults.keys()
        for name, member in list(self._fleet.members.items()):
            if name not in known:
                self._fleet.replace(member, None)

    def _show_everywhere(self, fault: str) -> None:
        with self._fleet.lock:
            for member in self._fleet.members.values():
                member.fault = fault
        self._fleet.hearers.tell("", "faulty", fault)

    def _show(self, name: str, fault: str) -> None:
        """Show why an edited file is not taken; a pipeline that is new is there all the same, to be seen."""
        member = self._fleet.members.get(name)
        if member is None:
            self._fleet.add(name, None, fault)
        elif member.fault == fault:
            return
        else:
            member.fault = fault
        self._fleet.hearers.tell(name, "faulty", fault)

    def _take(self, name: str, reading: Reading) -> None:
        definition = definition_of(reading.workspace, reading.specs[name])
        member = self._fleet.members.get(name)
        if member is None:
            self._fleet.add(name, self._posted(definition))
            return
        if member.post is not None and member.post.edition.newest.is_as(definition):
            self._mend(member)
            return
        try:
            validate(reading.workspace, [name])
        except EtlError as exc:
            self._show(name, told(exc) if isinstance(exc, ConfigError) else str(exc))
            return
        self._propose(member, definition)

    def _mend(self, member: Member) -> None:
        """Take note that a file says again what its pipeline does."""
        with self._fleet.lock:
            is_mended, member.fault = bool(member.fault), ""
            if is_mended and member.is_paused and not member.is_paused_by_person:
                revive(member)
        if is_mended:
            self._fleet.hearers.tell(member.name, "taken", "its file is again as it was")

    def _propose(self, member: Member, definition: Definition) -> None:
        with self._fleet.lock:
            post = member.post
            if post is not None and _kind(post.edition.current) == _kind(definition):
                post.edition.propose(definition)
                post.spec = definition.spec
            elif post is None:
                member.post = self._posted(definition)
                member.is_wanted = not member.post.timer.ticks
                member.fault = ""
            else:
                self._fleet.replace(member, self._posted(definition))
                member.fault = ""
            if member.is_paused and not member.is_paused_by_person:
                revive(member)
        if post is None:
            self._fleet.hearers.tell(member.name, "taken", "its file is right now")

    def _posted(self, definition: Definition) -> Post:
        return posted(
            definition,
            self._fleet.seam,
            self._fleet.hearers,
            partial(self._judged, definition.spec.name),
            self._alive_at if definition.spec.schedule and definition.spec.schedule.catch_up else None,
        )

    def _judged(self, name: str, definition: Definition, refusal: str) -> None:
        """Note what became of an edit, in the thread that tried it."""
        member = self._fleet.members.get(name)
        if member is not None:
            member.fault = refusal
        del definition
        if refusal:
            self._fleet.hearers.tell(name, "faulty", refusal)
        else:
            self._fleet.hearers.tell(name, "taken", "another definition holds")


def _kind(definition: Definition) -> tuple[object, ...]:
    """Return what cannot change while a post is held."""
    spec = definition.spec
    return (spec.trigger, spec.schedule, spec.is_isolated)
