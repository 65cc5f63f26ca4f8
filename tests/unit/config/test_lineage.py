from __future__ import annotations

import pytest

from etl.config.lineage import is_inside, overlaps


@pytest.mark.parametrize(
    ("pattern", "folder", "expected"),
    [
        ("/p/landing", "/p/lake", False),
        ("/p", "/p/lake", True),
        ("/p/lake/a/b/c", "/p/lake", True),
        ("/p/lake2", "/p/lake", False),
        ("/p/**/*.csv", "/p/lake", True),
        ("/p/landing/**", "/p/lake", False),
        ("/p/*.csv", "/p/lake", False),
        ("/p/*/*.csv", "/p/lake", True),
        ("/p/*/*.csv", "/p/lake/silver", False),
        ("/p/l[ab]ke/x", "/p/lake", True),
        ("/p/l[xy]ke/x", "/p/lake", False),
        ("/p/{lake,other}/x", "/p/lake", True),
        ("/p/a[1]/x", "/p/a[1]", True),
        ("s3://b/lake/*", "s3://b/lake", True),
        ("s3://b/lake/*", "s3://c/lake", False),
        ("/", "/p/lake", True),
    ],
)
def test_a_pattern_overlaps_a_folder_when_its_files_may_lie_there(pattern: str, folder: str, expected: bool) -> None:
    assert overlaps(pattern, folder) is expected


@pytest.mark.parametrize(
    ("url", "folder", "expected"),
    [
        ("/a/b", "/a/b", True),
        ("/a/b/c", "/a/b", True),
        ("/a/bc", "/a/b", False),
        ("/a", "/a/b", False),
        ("/a", "/", True),
    ],
)
def test_a_url_is_inside_a_folder(url: str, folder: str, expected: bool) -> None:
    assert is_inside(url, folder) is expected
