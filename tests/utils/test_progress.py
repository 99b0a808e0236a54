"""Progress on stderr: lines without a terminal, rich's bar on one, and the items unchanged; work in processes."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys

import pytest

from smix_mm.utils import progress
from smix_mm.utils.errors import DataError
from smix_mm.utils.progress import Progress, in_parallel, open_with_progress, track


@pytest.fixture
def clock(monkeypatch):
    """Sets the times that are read in turn."""

    def set_times(*seconds: float) -> None:
        times = itertools.chain(seconds, itertools.repeat(seconds[-1]))
        monkeypatch.setattr(progress.time, "monotonic", lambda: next(times))

    return set_times


def test_items_are_counted_in_a_line_every_ten_seconds(clock, capsys):
    clock(0.0, 5.0, 20.0, 100.0)
    assert list(track("abcd", "images")) == ["a", "b", "c", "d"]
    clock(0.0, 20.0)
    assert list(track(iter("ab"), "images")) == ["a", "b"]
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == "images: 2 of 4, 20 s left\nimages: 3 of 4, 33 s left\nimages: 1\n"


def test_the_last_item_has_no_line_and_long_times_are_in_minutes(clock, capsys):
    clock(0.0, 300.0, 600.0)
    list(track(iter("ab"), "images", total=2))
    assert capsys.readouterr().err == "images: 1 of 2, 5 min 0 s left\n"


def test_bytes_are_shown_in_megabytes_and_earlier_ones_do_not_count_as_fast(clock, capsys):
    clock(0.0, 5.0, 20.0)
    with Progress("downloading set.tar", 100_000_000, 20_000_000, in_bytes=True) as shown:
        shown.update(30_000_000)
        shown.update(60_000_000)
    assert capsys.readouterr().err == "downloading set.tar: 60.0 of 100.0 MB, 20 s left\n"


def test_a_file_is_read_unchanged_and_its_position_shown(clock, capsys, tmp_path):
    (tmp_path / "set.tar").write_bytes(b"x" * 3_000_000)
    clock(0.0, 30.0)
    with open_with_progress(tmp_path / "set.tar", "extracting") as file:
        assert file.read(1_000_000) == b"x" * 1_000_000 and file.tell() == 1_000_000
    assert capsys.readouterr().err == "extracting: 1.0 of 3.0 MB, 1 min 0 s left\n"


@pytest.mark.parametrize("rich", [True, False])
def test_a_terminal_has_a_bar_with_rich_and_lines_without_it(clock, capsys, monkeypatch, rich):
    if rich:
        pytest.importorskip("rich")
    else:
        monkeypatch.setattr(progress, "find_spec", lambda name: None)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    clock(0.0, 20.0, 40.0)
    assert list(track("abc", "a [b] label")) == ["a", "b", "c"]
    shown = capsys.readouterr().err
    assert "a [b] label" in shown and ("\x1b[" in shown) == rich
    assert shown.endswith("1 of 3, 40 s left\na [b] label: 2 of 3, 20 s left\n") or rich


def test_progress_and_the_time_left_go_to_stderr(capfd, monkeypatch):
    monkeypatch.setattr("smix_mm.utils.progress.SECONDS_BETWEEN_LINES", 0.0)
    assert list(in_parallel(abs, [-1, -2], jobs=1, label="images")) == [1, 2]
    captured = capfd.readouterr()
    assert captured.out == "" and captured.err.startswith("images: 1 of 2, ") and captured.err.endswith(" s left\n")


def die(item: int) -> int:
    if item == 3:
        os._exit(9)
    return item


def test_a_killed_process_raises_an_error_of_one_sentence():
    with pytest.raises(DataError, match="a process that reads files was killed"):
        list(in_parallel(die, list(range(5)), jobs=2))


KILLED = """
import os, signal
from smix_mm.utils.progress import in_parallel
for _ in in_parallel(abs, list(range(64)), jobs=2):
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_the_processes_end_after_their_parent_is_killed():
    # They hold its output open: without their end, this would wait.
    ended = subprocess.run([sys.executable, "-c", KILLED], stdout=subprocess.PIPE, timeout=60)
    assert ended.returncode == -signal.SIGKILL
