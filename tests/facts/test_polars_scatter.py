from __future__ import annotations

import polars as pl


def test_scatter_changes_the_series_itself_but_no_frame_that_it_came_from() -> None:
    frame = pl.DataFrame({"n": [1, 2, 3]})
    column = frame["n"]

    column.scatter(0, 9)

    assert column.to_list() == [9, 2, 3]
    assert frame["n"].to_list() == [1, 2, 3]


def test_a_carriage_return_before_the_line_feed_or_the_end_is_no_part_of_a_line() -> None:
    assert pl.read_lines(b"a\r\n\nb\rc\r\r\nd\r")["line"].to_list() == ["a", "", "b\rc\r", "d"]
