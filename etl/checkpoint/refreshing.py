"""The beginning of a full refresh: the next generation of a checkpoint, published in one step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from etl.checkpoint.folder import Checkpoint, choose_lease, held, refuse_double_create
from etl.checkpoint.generations import identities, identity_name, newest_generation
from etl.checkpoint.record import BESIDE_VERSION, FORMAT_VERSION, Record, encode_record
from etl.errors import FencedError, RecordExistsError
from etl.storage import put_if_absent

if TYPE_CHECKING:
    from etl.seam import Seam
    from etl.storage import Storage


def begin_generation(folder: Storage, name: str, seam: Seam, *, is_beside: bool = False) -> int:
    """Begin the next generation of the pipeline ``name`` and return its number.

    With ``is_beside`` its table is built beside the present one; else its first batch takes that one's place.

    The runner of the present one is kept out first, by its lease and its next epoch. Nothing has changed until the new
    identity is published; from then on every start goes on with the new generation. *Repeat*: begins a further one.
    Raises LeaseHeldError, and FencedError where another refresh was begun at the same moment.
    """
    refuse_double_create(folder, seam)
    present = newest_generation(folder)
    known = identities(folder, present)
    checkpoint = Checkpoint(folder, known.get(present, ""), seam, present)
    with held(checkpoint, choose_lease(checkpoint.storage, seam)):
        about: dict[str, Any] = {"refresh": True, "replaces": list(known.values())}
        _publish(folder, present + 1, {"name": name} | about | ({"beside": True} if is_beside else {}), seam)
    return present + 1


def _publish(folder: Storage, generation: int, about: dict[str, Any], seam: Seam) -> None:
    identity = seam.new_id()
    body = {**about, "created_at": seam.now().isoformat(), "generation": generation}
    content = encode_record(
        Record("pipeline", identity, None, 0, identity, body),
        BESIDE_VERSION if "beside" in about else FORMAT_VERSION,
    )
    try:
        put_if_absent(folder, identity_name(generation), content, effect="identity.put", seam=seam)
    except RecordExistsError as exc:
        raise FencedError(
            "another full refresh was just begun", where=folder.url, hint="run again without --full-refresh: it goes on"
        ) from exc
