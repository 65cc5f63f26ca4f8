"""Does a store keep what the protocol rests on: a record is created by one writer only."""

from __future__ import annotations

from etl.seam import Seam
from etl.storage.contract import Storage
from etl.storage.publishing import put_if_absent


def probe_conditional_create(storage: Storage, seam: Seam) -> bool:
    """Tell whether ``storage`` refuses to create a record twice; tried on a record of a random name, removed after.

    A store that ignores ``If-None-Match`` lets two runners overwrite one another's records. *Repeat*: safe.
    """
    path = f"probe-{seam.new_id()}"
    try:
        put_if_absent(storage, path, b"first", effect="probe.create", seam=seam)
        storage.create(path, b"second", effect="probe.create")
    except FileExistsError:
        return True
    finally:
        storage.remove(path, effect="probe.remove")
    return False
