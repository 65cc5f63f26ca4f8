from __future__ import annotations

import re
from pathlib import Path

from etl.formats.grok_patterns import PATTERNS
from etl.formats.log_formats import LOG_FORMATS

WHOLE = (Path(__file__).parents[3] / "docs" / "formats.md").read_text("utf-8")
PAGE = WHOLE.partition("\n## Log formats\n")[2].partition("\n## ")[0]


def test_the_page_lists_every_pattern_of_the_library_and_no_other() -> None:
    library = PAGE.partition("<summary>The library</summary>")[2].partition("</details>")[0]

    assert re.findall(r"[A-Z][A-Z0-9_]+", library) == list(PATTERNS)


def test_the_page_lists_every_format_with_its_columns() -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*) \|$", PAGE, re.MULTILINE))
    columns: dict[str, list[str]] = {}
    for name, text in rows.items():
        based = columns.get(re.findall(r"those of `(\w+)`", text)[0], []) if "those of" in text else []
        columns[name] = based + re.findall(r"\w+", text.split("`")[-2] if "`" in text else "")

    assert list(rows) == list(LOG_FORMATS)
    for name, kind in LOG_FORMATS.items():
        schema = kind().way.parser.schema
        assert columns[name] == ([] if schema is None else list(schema))
