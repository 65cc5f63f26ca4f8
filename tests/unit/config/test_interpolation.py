from __future__ import annotations

from pathlib import Path

import pytest

from etl.config.faults import ConfigFaults, shown
from etl.config.interpolation import Surroundings, interpolate
from etl.config.yaml_reader import Document, parse_yaml
from etl.secrets import mask

FROM_ENVIRONMENT = "zq81-from-env"
TOO_SHORT = "123"


def interpolated(text: str, folder: Path = Path("/nowhere"), **environment: str) -> Document:
    document = parse_yaml(text.encode(), "a.yml")
    interpolate(document, Surroundings(folder, environment))
    return document


def noted(document: Document) -> list[str]:
    return [f"{fault.line}:{fault.column} {fault.path}: {fault.message}" for fault in document.faults]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("${HOME_DIR}/x", "/home/me/x"),
        ("${HOME_DIR}${HOME_DIR}", "/home/me/home/me"),
        ("${EMPTY:-fallback}", "fallback"),
        ("${ABSENT:-}", ""),
        ("${ABSENT:-a:-b}", "a:-b"),
        ("${HOME_DIR:-other}", "/home/me"),
        ("$${HOME_DIR}", "${HOME_DIR}"),
        ("$$ costs $5", "$$ costs $5"),
        ("${NESTED}", "${HOME_DIR}"),
    ],
)
def test_a_reference_is_replaced_once_by_plain_text(text: str, value: str) -> None:
    document = interpolated(f"a: '{text}'", HOME_DIR="/home/me", EMPTY="", NESTED="${HOME_DIR}")
    assert document.data == {"a": value}
    assert document.faults == []


def test_references_stand_in_nested_values_but_not_in_keys() -> None:
    document = interpolated("${V}: [{a: '${V}'}, 1, true]", V="x")
    assert document.data == {"${V}": [{"a": "x"}, 1, True]}


def test_a_number_that_comes_from_a_variable_stays_text() -> None:
    assert interpolated("a: ${N}", N="12").data == {"a": "12"}


def test_every_reference_without_a_value_is_noted_at_its_place() -> None:
    document = interpolated("a: ${ABSENT}\nb:\n  - x\n  - '${EMPTY}'\nc: '${no good}'\nd: '${OPEN'\n", EMPTY="")
    assert noted(document) == [
        "1:4 a: environment variable ABSENT is not set; set it, or write ${ABSENT:-default}",
        "4:5 b[1]: environment variable EMPTY is empty; set it, or write ${EMPTY:-default}",
        "5:4 c: '${no good}' is no reference; write ${VAR}, ${VAR:-default} or ${secret:name}",
        "6:4 d: '${OPEN' is no reference; write ${VAR}, ${VAR:-default} or ${secret:name}",
    ]


def test_a_secret_comes_from_the_environment_and_is_masked() -> None:
    document = interpolated("a: 'token ${secret:api-key}'", ETL_SECRET_API_KEY=FROM_ENVIRONMENT)
    assert document.data == {"a": "token zq81-from-env"}
    assert document.secrets == {"zq81-from-env"}
    assert mask("sent zq81-from-env to it") == "sent *** to it"


def test_a_secret_comes_from_a_file_without_its_line_end(tmp_path: Path) -> None:
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "db").write_text("zq82 from file\n")
    assert interpolated("a: ${secret:db}", tmp_path).data == {"a": "zq82 from file"}
    assert mask("zq82%20from%20file") == "***"


def test_a_secret_that_is_absent_short_or_unreadable_is_noted(tmp_path: Path) -> None:
    (tmp_path / "secrets" / "folder").mkdir(parents=True)
    (tmp_path / "secrets" / "binary").write_bytes(b"\xff\xfe\xfd\xfc")
    text = "a: ${secret:gone}\nb: ${secret:pin}\nc: ${secret:folder}\nd: ${secret:binary}\ne: '${secret:../x}'\n"
    assert noted(interpolated(text, tmp_path, ETL_SECRET_PIN=TOO_SHORT)) == [
        "1:4 a: secret 'gone' is not set; set ETL_SECRET_GONE or write the file secrets/gone",
        "2:4 b: secret 'pin' is shorter than 4 characters and could not be masked",
        "3:4 c: file secrets/folder cannot be read: IsADirectoryError",
        "4:4 d: file secrets/binary cannot be read: UnicodeDecodeError",
        "5:4 e: '${secret:../x}' is no reference; write ${VAR}, ${VAR:-default} or ${secret:name}",
    ]


def test_a_url_with_a_password_is_noted_and_hidden() -> None:
    document = interpolated(
        "a: postgresql://me:zq83word@host/db\nb: abfss://box@account.net/x\nc: '${U}'\n", U="s3://k:zq84@b"
    )
    message = "a URL with user:password@; give the password under storage: as ${secret:name}"
    assert noted(document) == [f"1:4 a: {message}", f"3:4 c: {message}"]
    assert "zq8" not in mask(str(document.data))


@pytest.mark.parametrize(
    ("text", "is_noted"),
    [
        ("postgresql://me:${secret:word}@host/db", False),
        ("${secret:whole}", False),
        ("postgresql://${secret:word}:${secret:word}@host/db", False),
        ("postgresql://me:zq87plain@host/db", True),
        ("postgresql://me:${PLAIN}@host/db", True),
        ("${WHOLE}", True),
        ("postgresql://${secret:word}:zq87plain@host/db", True),
        ("postgresql://me:zq87${secret:word}@host/db", True),
    ],
)
def test_the_url_of_a_database_may_hold_a_password_that_is_a_secret(text: str, is_noted: bool) -> None:
    document = interpolated(
        f"join: {{url: '{text}'}}",
        PLAIN="zq87plain",
        WHOLE="postgresql://me:zq87plain@host/db",
        ETL_SECRET_WORD="zq86word",
        ETL_SECRET_WHOLE="postgresql://me:zq86word@host/db",
    )
    message = "a URL with user:password@; write the password, or the whole URL, as ${secret:name}"

    assert noted(document) == ([f"1:13 join.url: {message}"] if is_noted else [])
    assert "zq8" not in mask(str(document.data))


def test_a_secret_never_shows_in_a_fault_not_even_cut_short() -> None:
    long_secret = "zq85" * 30
    document = interpolated("a: ${secret:long}", ETL_SECRET_LONG=long_secret)
    document.fault(("a",), f"expected a number, got {shown(document.data['a'])}")
    document.fault(("a",), f"library said {long_secret!r}")
    text = str(ConfigFaults(document.faults))
    assert text == "a.yml: 2 problems\n  1:4    a: expected a number, got '***'\n  1:4    a: library said '***'"
