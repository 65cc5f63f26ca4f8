"""Any history of changes to a table of state, cut by any restarts: the store holds what one plain frame would."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.state_model import VALUES, Both, at_us, changes, frame, layouts, limits, local

MINUTES = st.integers(0, 30)


def live(data: st.DataObject, folder: Path) -> None:
    """Draw a history and compare the store with the plain table on the way, and both kept versions at its end."""
    layout = data.draw(layouts())
    keys = st.lists(st.fixed_dictionaries({name: VALUES[name] for name in layout.keys}), max_size=6)
    both = Both(layout, data.draw(limits()), local(folder))
    for _ in range(data.draw(st.integers(1, 12))):
        both.change(data.draw(changes(layout)))
        if data.draw(st.booleans()):
            both.reopen()
        if data.draw(st.booleans()):
            both.check(frame(data.draw(keys), layout.keys), at_us(data.draw(MINUTES)))
        if data.draw(st.integers(0, 3)) == 0:
            both.collect()
    for version in (-1, -2):
        both.check(frame(data.draw(keys), layout.keys), at_us(15), version)


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_the_store_holds_what_a_plain_frame_would_after_any_history(data: st.DataObject) -> None:
    with TemporaryDirectory() as folder:
        live(data, Path(folder))


@pytest.mark.slow
@settings(deadline=None, max_examples=1_500)
@given(st.data())
def test_the_store_holds_what_a_plain_frame_would_after_many_more_histories(data: st.DataObject) -> None:
    with TemporaryDirectory() as folder:
        live(data, Path(folder))
