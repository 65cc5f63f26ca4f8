from __future__ import annotations

import base64
import json

import pytest

from etl.errors import ConfigError, TransientError
from etl.notifying import Message, Receiver, ReceiverOptions, receiver_of, send
from etl.secrets import mask, register_secret
from tests.receiving import closed_port, receiving, rude

MESSAGE = Message("orders: failed", "disk full\nmake room", {"pipeline": "orders", "condition": "failure"})


def test_a_webhook_is_posted_a_json_object() -> None:
    with receiving() as inbox:
        send(Receiver("ops", f"{inbox.url}/hook?x=1"), MESSAGE)
        sent = inbox.next()

    assert sent.path == "/hook?x=1"
    assert sent.headers["Content-Type"] == "application/json; charset=utf-8"
    assert json.loads(sent.body) == {
        "title": "orders: failed",
        "text": "orders: failed\ndisk full\nmake room",
        "pipeline": "orders",
        "condition": "failure",
    }


def test_nothing_secret_and_no_control_character_is_sent() -> None:
    register_secret("zq90secret")
    hostile = Message("a\nzq90secret", "b\x1b[2J zq90secret\u202e", {"zq90secret": "postgresql://me:zq91@db"})

    with receiving() as inbox:
        send(Receiver("ops", inbox.url), hostile)
        sent = json.loads(inbox.next().body)

    assert sent == {
        "title": "a\\n***",
        "text": "a\\n***\nb\\x1b[2J ***\\u202e",
        "***": "postgresql://me:***@db",
    }


def test_the_password_of_a_webhook_goes_into_a_header_and_is_hidden() -> None:
    with receiving() as inbox:
        receiver = receiver_of(
            ReceiverOptions(name="ops", url=inbox.url.replace("//", "//me:zq92%40pw@"), when=["failure"])
        )
        send(receiver, MESSAGE)
        sent = inbox.next()

    word = base64.b64encode(b"me:zq92@pw").decode()
    assert sent.headers["Authorization"] == f"Basic {word}"
    assert mask(f"{word} {receiver.url}") == "*** ***"
    assert "zq92" not in repr(receiver)


@pytest.mark.parametrize("status", [302, 307, 400, 404, 500])
def test_an_answer_that_is_no_success_is_told_and_a_redirect_is_not_followed(status: int) -> None:
    with receiving(status) as inbox:
        with pytest.raises(TransientError, match=rf"^ops: the webhook answered {status}$"):
            send(Receiver("ops", inbox.url), MESSAGE)
        inbox.next()

        assert inbox.is_empty()


def test_a_webhook_that_is_not_there_is_told_without_its_url() -> None:
    url = f"http://127.0.0.1:{closed_port()}/T0/zq93"

    with pytest.raises(TransientError, match=r"^ops: the webhook cannot be reached: .*refused$") as caught:
        send(Receiver("ops", url), MESSAGE)

    assert "zq93" not in str(caught.value)


@pytest.mark.parametrize(
    "answer", [None, b"", b"HTTP/1.1 50", b"SSH-2.0-OpenSSH\r\n", b"HTTP/1.1 999999 zq94\x1b[2J\r\n\r\n"]
)
def test_a_webhook_that_hangs_dies_or_talks_nonsense_is_told(answer: bytes | None) -> None:
    with rude(answer) as url, pytest.raises(TransientError) as caught:
        send(Receiver("ops", f"{url}/zq95"), MESSAGE, timeout_s=0.3)

    assert caught.value.where == "ops"
    assert caught.value.message.startswith("the webhook ")
    assert caught.value.message.isprintable()
    assert "zq95" not in caught.value.message


def test_apprise_delivers_to_its_own_urls() -> None:
    with receiving() as inbox:
        send(Receiver("ops", inbox.url.replace("http://", "json://")), MESSAGE)
        sent = json.loads(inbox.next().body)

    assert (sent["title"], sent["message"], sent["type"]) == ("orders: failed", "disk full\nmake room", "failure")


def test_what_apprise_cannot_deliver_is_told(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(TransientError, match=r"^ops: Apprise could not deliver it: .*WARNING.* JSON notification"):
        send(Receiver("ops", f"json://me:zq94pw@127.0.0.1:{closed_port()}"), MESSAGE)

    assert capfd.readouterr() == ("", "")


def test_a_kind_of_url_that_apprise_does_not_know_is_a_fault_of_the_configuration() -> None:
    with pytest.raises(ConfigError, match=r"^ops: Apprise knows no such URL of nope://"):
        send(Receiver("ops", "nope://zq95"), MESSAGE)


def test_a_receiver_is_told_of_what_it_wants() -> None:
    receiver = Receiver("ops", "https://x", when=("failure",), pipelines=("orders",))

    assert receiver.wants("failure", "orders")
    assert not receiver.wants("freshness", "orders")
    assert not receiver.wants("failure", "users")
    assert Receiver("all", "https://x").wants("quarantine", "users")
