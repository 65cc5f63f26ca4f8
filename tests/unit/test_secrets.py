from __future__ import annotations

import json
import threading
from urllib.parse import quote

import pytest

from etl.secrets import (
    has_password,
    is_secret_name,
    mask,
    mask_values,
    register_environment,
    register_secret,
    scrubbed,
    scrubbed_value,
)


def test_text_without_secrets_stays_as_it_is() -> None:
    assert mask("nothing to hide") == "nothing to hide"


def test_a_secret_is_masked_in_every_spelling() -> None:
    value = 'zq71"pass\\w/ö'
    register_secret(value)
    spellings = [value, json.dumps(value), repr(value), quote(value), quote(value, safe="")]
    assert [mask(spelling).strip("\"'") for spelling in spellings] == ["***"] * 5


def test_the_longest_secret_is_masked_first() -> None:
    register_secret("zq72")
    register_secret("zq72-and-more")
    assert mask("zq72-and-more zq72") == "*** ***"


def test_a_short_value_is_not_registered() -> None:
    register_secret("abc")
    register_secret("")
    assert mask("abc") == "abc"


def test_only_the_given_values_are_masked() -> None:
    register_secret("zq73other")
    assert mask_values("zq73other mine", {"mine"}) == "zq73other ***"


@pytest.mark.parametrize(
    ("name", "is_secret"),
    [
        ("secret_access_key", True),
        ("AWS_SESSION_TOKEN", True),
        ("account-key", True),
        ("password", True),
        ("sas_token", True),
        ("region", False),
        ("endpoint_url", False),
        ("keyspace", False),
        ("monkey", False),
    ],
)
def test_an_option_is_secret_by_a_word_of_its_name(name: str, is_secret: bool) -> None:
    assert is_secret_name(name) is is_secret


@pytest.mark.parametrize(
    ("text", "has_one"),
    [
        ("postgresql://me:pw@host/db", True),
        ("  s3://key:secret@bucket", True),
        ("redis://:pw@host", True),
        ("abfss://container@account.dfs.core.windows.net/x", False),
        ("s3://bucket/a:b@c", False),
        ("http://localhost:9000", False),
        ("a text with http://a:b@c inside", False),
    ],
)
def test_a_url_with_a_password_is_recognised(text: str, has_one: bool) -> None:
    assert has_password(text) is has_one


def test_what_leaves_has_neither_secrets_nor_control_characters_nor_marks_of_direction() -> None:
    register_secret("zq74\nline")

    assert scrubbed("a zq74\nline b\x1b[2J \u202egnp.exe") == "a *** b\\x1b[2J \\u202egnp.exe"
    assert scrubbed("a zq74\\nline b") == "a *** b"


def test_what_leaves_has_no_password_of_a_url() -> None:
    assert scrubbed("at https://me:zq75pw@host/x and s3://b/k:v@w") == "at https://me:***@host/x and s3://b/k:v@w"


def test_every_text_in_a_value_is_scrubbed() -> None:
    register_secret("zq76value")

    assert scrubbed_value({"zq76value": ["a\n", 1, None, ("zq76value",)]}) == {"***": ["a\\n", 1, None, ["***"]]}


def test_what_other_libraries_read_from_the_environment_is_masked() -> None:
    register_environment(
        {
            "OTEL_EXPORTER_OTLP_HEADERS": "x-key=zq77header, authorization=zq78 header",
            "OPENLINEAGE_API_KEY": "zq79key",
            "OTEL_EXPORTER_OTLP_ENDPOINT": "http://me:zq80pw@host:4318",
            "HOME": "/home/zq81",
        }
    )

    assert mask("zq77header zq78 header zq79key zq80pw zq81 me") == "*** *** *** *** zq81 me"


def test_secrets_become_known_while_texts_are_masked() -> None:
    threads = [threading.Thread(target=lambda n=n: register_secret(f"zq82-{n}")) for n in range(50)]
    for thread in threads:
        thread.start()
        assert mask("plain") == "plain"
    for thread in threads:
        thread.join()

    assert mask(" ".join(f"zq82-{n}!" for n in range(50))) == " ".join(["***!"] * 50)
