from __future__ import annotations

import json

import pytest

from etl.errors import ConfigError
from etl.notifying import Receiver
from etl.service.trial_alerts import chosen, trial_message, tried
from etl.testing import ManualClock
from tests.fleets import Stage
from tests.receiving import closed_port, receiving

OPS, TEAM = Receiver("ops", "https://x"), Receiver("team", "https://y")


def test_a_trial_message_says_what_its_receiver_is_told_of(stage: Stage) -> None:
    message = trial_message(Receiver("ops", "https://x", when=("quarantine", "failure")), stage.clock.now())

    assert (message.title, message.text) == ("etl: a trial message", "ops is told of: failure, quarantine")


def test_each_receiver_gets_a_trial_message_and_what_became_of_it_is_told() -> None:
    with receiving(200, 500) as inbox:
        outcomes = tried(
            [
                Receiver("ops", f"{inbox.url}/a"),
                Receiver("team", f"{inbox.url}/b"),
                Receiver("gone", f"http://127.0.0.1:{closed_port()}/zq53"),
            ],
            ManualClock(),
        )
        sent = inbox.next()

    assert sent.path == "/a"
    assert json.loads(sent.body)["event"] == "trial"
    assert outcomes[:2] == [("ops", ""), ("team", "the webhook answered 500")]
    assert outcomes[2][0] == "gone"
    assert outcomes[2][1].startswith("the webhook cannot be reached: ")
    assert "zq53" not in outcomes[2][1]


def test_those_that_are_named_are_tried_and_all_where_none_is() -> None:
    assert chosen([OPS, TEAM], ["team"]) == [TEAM]
    assert chosen([OPS, TEAM], []) == [OPS, TEAM]


def test_a_receiver_that_there_is_not_is_refused_and_so_are_none_at_all() -> None:
    with pytest.raises(ConfigError, match="unknown receiver 'op'; did you mean 'ops'"):
        chosen([OPS, TEAM], ["op"])
    with pytest.raises(ConfigError, match="nobody is told of anything"):
        chosen([], [])
