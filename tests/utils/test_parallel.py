"""A function applied in several processes."""

from __future__ import annotations

import os

import pytest

from smix_mm.utils.errors import DataError
from smix_mm.utils.parallel import in_parallel


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
