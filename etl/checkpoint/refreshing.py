"""The beginning of a full refresh: the next generation of a checkpoint, published in one step."""

from __future__ import annotations

from typing import TYPE_CHECKING

from etl.checkpoint.folder import Checkpoint, choose_lease, held, refuse_double_create
from etl.checkpoint.generations import identities, identity_name, newest_generation
from etl.checkpoint.record import Record, encode_record
from etl.errors import FencedError, RecordExistsError
from etl.storage import put_if_absent

if TYPE_CHECKING:
    from collections.abc import Iterable

    from etl.seam import Seam
    from etl.storage import Storage


def begin_generation(folder: Storage, name: str, seam: Seam) -> int:
    """Begin the next generation of the pipeline ``name`` and return its number.

    The runner of the present one is kept out first, by its lease and its next epoch. Nothing has changed until the new
    identity is published; from then on every start goes on with the new generation. *Repeat*: begins a further one.
    Raises LeaseHeldError, and FencedError where another refresh was begun at the same moment.
    """
    refuse_double_create(folder, seam)
    present = newest_generation(folder)
    known = identities(folder, present)
    checkpoint = Checkpoint(folder, known.get(present, ""), seam, present)
    with held(checkpoint, choose_lease(checkpoint.storage, seam)):
        _publish(folder, present + 1, {"name": name, "replaces": known.values()}, seam)
    return present + 1


def _publish(folder: Storage, generation: int, about: dict[str, str | Iterable[str]], seam: Seam) -> None:
    identity = seam.new_id()
    body = {
        "name": about["name"],
        "created_at": seam.now().isoformat(),
        "generation": generation,
        "refresh": True,
        "replaces": list(about["replaces"]),
    }
    record = Record("pipeline", identity, None, 0, identity, body)
    try:
        put_if_absent(folder, identity_name(generation), encode_record(record), effect="identity.put", seam=seam)
    except RecordExistsError as exc:
        raise FencedError(
            "another full refresh was just begun", where=folder.url, hint="run again without --full-refresh: it goes on"
        ) from exc
