from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from etl.formats.log_formats import LOG_FORMATS, RegexFormat
from etl.schema_contract import EVOLVE
from etl.sources.file_formats import FileFormats
from etl.sources.file_options import FileOptions, LogPattern


@pytest.mark.parametrize("name", LOG_FORMATS)
def test_files_may_have_any_log_format_by_its_name(name: str) -> None:
    options = FileOptions.model_validate({"path": "a", "format": name})

    form = FileFormats(options.format, options.format_options, EVOLVE).of("a.txt")

    assert type(form) is LOG_FORMATS[name]


def test_files_may_have_a_format_that_is_spelt_out_which_is_made_once() -> None:
    options = FileOptions.model_validate({"path": "a", "format": {"regex": "(?P<a>.*)"}})
    formats = FileFormats(options.format, options.format_options, EVOLVE)

    assert isinstance(formats.of("a"), RegexFormat)
    assert formats.of("b") is formats.of("a")


def test_patterns_of_the_user_stand_under_the_options_of_the_format() -> None:
    given = {"path": "a", "format": {"grok": "%{MINE:x}"}, "format_options": {"patterns": {"MINE": "[a-z]+"}}}

    options = FileOptions.model_validate(given)

    assert isinstance(options.format, LogPattern)
    assert options.format.made(options.format_options).way.parser.schema == {"x": "string"}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"format": {}}, "give either `regex` or `grok`"),
        ({"format": {"regex": "(?P<a>x)", "grok": "%{IP:x}"}}, "give either `regex` or `grok`"),
        ({"format": {"regex": "("}}, "the pattern is not sound: unclosed group"),
        ({"format": {"grok": "%{IPP:x}"}}, "unknown pattern IPP; did you mean 'IP'?"),
        ({"format": "common", "format_options": {"timezone": "UTC"}}, "timezone: Extra inputs are not permitted"),
        ({"format": {"regex": "(?P<a>x)"}, "format_options": {"zone": 1}}, "zone: Extra inputs are not permitted"),
    ],
)
def test_a_log_format_that_no_line_could_have_is_refused_with_its_options(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError) as caught:
        FileOptions.model_validate({"path": "a"} | given)
    assert any(message in fault["msg"] for fault in caught.value.errors())
