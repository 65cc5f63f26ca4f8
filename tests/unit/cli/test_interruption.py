from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]

# In processes of their own: a signal to this one could reach a thread that was started before and does not block it.
START = """\
import os, signal, threading
from etl.cli.interruption import Interruption

was_told = threading.Event()

def tell(text):
    print(text, flush=True)
    was_told.set()

def send(name):
    os.kill(os.getpid(), getattr(signal, name))
"""


def run(code: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, "-c", START + code], env=environment, capture_output=True, text=True, timeout=60, check=False
    )


def test_without_a_signal_nothing_is_wanted_and_signals_are_as_before() -> None:
    done = run(
        "with Interruption(tell) as found:\n"
        "    print(found.is_wanted, sorted(signal.pthread_sigmask(signal.SIG_BLOCK, [])) != [])\n"
        "print(found.is_wanted, signal.pthread_sigmask(signal.SIG_BLOCK, []), threading.active_count())\n"
    )

    assert (done.returncode, done.stdout) == (0, "False True\nFalse set() 1\n"), done.stderr


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_the_first_signal_is_a_wish_and_raises_nothing(name: str) -> None:
    done = run(
        "with Interruption(tell) as found:\n"
        f"    send('{name}')\n"
        "    assert was_told.wait(20)\n"
        "print(found.is_wanted, found.signal.name)\n"
    )

    told = f"{name}: finishing the batch (at most 20 s; again to abandon it)\n"
    assert (done.returncode, done.stdout) == (0, f"{told}True {name}\n"), done.stderr


@pytest.mark.parametrize(("grace_s", "again"), [(0.01, ""), (20, "was_told.wait(20); send('SIGTERM')")])
def test_the_end_of_the_grace_time_or_a_second_signal_interrupts_the_main_thread(grace_s: float, again: str) -> None:
    done = run(
        "try:\n"
        f"    with Interruption(tell, {grace_s}):\n"
        "        send('SIGTERM')\n"
        f"        {again or 'pass'}\n"
        "        while True: was_told.wait(0.01)\n"
        "except KeyboardInterrupt:\n"
        "    print('interrupted')\n"
    )

    assert (done.returncode, done.stdout.splitlines()[1:]) == (0, ["interrupted"]), done.stderr


def test_a_main_thread_that_does_not_come_back_is_ended() -> None:
    done = run(
        "import ctypes\n"
        "with Interruption(tell, 0.01):\n"
        "    send('SIGTERM')\n"
        "    ctypes.CDLL(None).sleep(50)\n"  # native code, which no exception reaches
    )

    assert done.returncode == 130, done.stderr
