from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path


def test_status_is_told_again_and_again_until_it_is_interrupted(tmp_path: Path) -> None:
    etl = [sys.executable, "-m", "etl"]
    subprocess.run([*etl, "init", str(tmp_path / "shop")], check=True, capture_output=True)
    command = [*etl, "-C", str(tmp_path / "shop"), "status", "--watch", "--interval", "200ms", "--json"]

    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as watching:
        assert watching.stdout is not None
        assert watching.stderr is not None
        before = json.loads(watching.stdout.readline())
        subprocess.run([*etl, "-C", str(tmp_path / "shop"), "run", "--all"], check=True, capture_output=True)
        after = next(found for line in watching.stdout if (found := json.loads(line))[0]["state"] == "idle")
        (tmp_path / "shop" / "etl.yml").write_text("lake: 3\n")
        fault = next(found for line in watching.stdout if isinstance(found := json.loads(line), dict))
        watching.send_signal(signal.SIGINT)
        watching.stdout.read()
        told = watching.stderr.read()

    assert {each["state"] for each in before} == {"never run"}
    assert after[0]["last_batch"] is not None
    assert "etl.yml" in fault["error"]
    assert (watching.returncode, told) == (0, "")
