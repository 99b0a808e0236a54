"""Locks: one holder at a time, taken over from ended processes only, without flock."""

import errno
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from smix_mm.utils import lock
from smix_mm.utils.errors import StepError, UsageError
from smix_mm.utils.lock import hold, is_held

HOLDER = """
import sys, time
from pathlib import Path
from smix_mm.utils import lock
lock.HEARTBEAT = 0.1
with lock.hold(Path(sys.argv[1]), "busy", wait=True):
    print("holds", flush=True)
    time.sleep(float(sys.argv[2]))
"""


@pytest.fixture(autouse=True)
def no_flock(monkeypatch):
    """A file system without flock, as some network file systems are."""

    def fail(*arguments):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", fail)


def start(path: Path, seconds: float) -> subprocess.Popen:
    program = "import fcntl\ndef fail(*a): raise OSError(37, 'No locks available')\nfcntl.flock = fail\n" + HOLDER
    process = subprocess.Popen([sys.executable, "-c", program, path, str(seconds)], stdout=subprocess.PIPE, text=True)
    return process


def change(path: Path, **content) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **content}))


def test_a_second_process_is_refused_until_the_first_ends(tmp_path):
    path = tmp_path / "run.lock"
    with start(path, 60) as process:
        assert process.stdout.readline() == "holds\n" and is_held(path)
        refused = rf"^busy \(process {process.pid} on .*\); wait until it ends, or stop it"
        with pytest.raises(UsageError, match=refused), hold(path, "busy", error=UsageError):
            pass
        process.kill()
        process.wait()
    assert path.exists() and not is_held(path), "killed, so it could not remove it"
    with hold(path, "busy"):
        assert is_held(path)
    assert list(tmp_path.iterdir()) == []


def test_of_many_processes_that_wait_one_holds_it_at_a_time(tmp_path):
    """Also when the first one was killed, so that all of them find an abandoned lock."""
    path = tmp_path / "run.lock"
    with start(path, 60) as first:
        first.stdout.readline()
        first.kill()
    with open(tmp_path / "log", "w") as log:
        program = (
            HOLDER.replace('print("holds", flush=True)', "print('in', flush=True)") + "    print('out', flush=True)"
        )
        many = [subprocess.Popen([sys.executable, "-c", program, path, "0.2"], stdout=log) for _ in range(4)]
        assert [process.wait(timeout=60) for process in many] == [0] * 4
    assert (tmp_path / "log").read_text().split() == ["in", "out"] * 4 and not path.exists()


def test_a_lock_of_another_host_is_taken_over_after_ten_minutes_without_a_sign_of_life(tmp_path):
    path = tmp_path / "run.lock"
    with hold(path, "busy"):
        text = path.read_text()
    path.write_text(text)
    change(path, host="elsewhere 1 2")
    refused = r"on elsewhere\).* its lock is taken over after 10 minutes\.$"
    with pytest.raises(StepError, match=refused), hold(path, "busy"):
        pass
    os.utime(path, (time.time() - 601,) * 2)
    assert not is_held(path)
    with hold(path, "busy"):
        pass
    assert not path.exists()


def test_a_lock_whose_process_id_was_given_to_another_process_is_abandoned(tmp_path):
    path = tmp_path / "run.lock"
    with hold(path, "busy"):
        text = path.read_text()
    path.write_text(text)
    assert is_held(path)
    change(path, started="1")
    assert not is_held(path)


@pytest.mark.parametrize("text", ["", "{", "[]"])
def test_an_unreadable_lock_is_held_for_ten_minutes(tmp_path, text):
    path = tmp_path / "run.lock"
    path.write_text(text)
    assert is_held(path)
    with pytest.raises(StepError, match="busy"), hold(path, "busy"):
        pass
    os.utime(path, (0, 0))
    with hold(path, "busy"):
        pass


def test_a_process_whose_lock_was_taken_over_ends(tmp_path):
    path = tmp_path / "run.lock"
    with start(path, 60) as process:
        process.stdout.readline()
        change(path, token="another")
        assert process.wait(timeout=20) == -signal.SIGTERM


def test_a_heartbeat_touches_the_lock(tmp_path, monkeypatch):
    monkeypatch.setattr(lock, "HEARTBEAT", 0.05)
    path = tmp_path / "run.lock"
    with hold(path, "busy"):
        os.utime(path, (0, 0))
        deadline = time.monotonic() + 10
        while path.stat().st_mtime == 0:
            assert time.monotonic() < deadline
            time.sleep(0.02)
