"""Errors that a command line prints as one sentence, and those whose traceback it shows."""

import sys

import pytest
from torch._utils import ExceptionWrapper

from smix_mm.utils import errors
from smix_mm.utils.command_line import run_command

CLASSES = [each for each in vars(errors).values() if isinstance(each, type)]


def command(error):
    def work() -> int:
        raise error

    return work


@pytest.mark.parametrize("kind", CLASSES)
def test_every_error_for_users_is_one_sentence_with_its_exit_status(kind, capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["tools/some.py"])
    assert run_command(command(kind("alpha should be positive, got -1"))) == kind.exit_status
    assert capsys.readouterr().err == "some.py: alpha should be positive, got -1\n"


def test_of_an_error_in_a_data_worker_only_the_message_is_printed(capsys):
    try:
        raise errors.DataError("a.jpg cannot be read: it is empty")
    except errors.DataError:
        wrapper = ExceptionWrapper(where="in DataLoader worker process 0")
    assert run_command(wrapper.reraise) == 2
    assert capsys.readouterr().err.endswith(": a.jpg cannot be read: it is empty\n")


@pytest.mark.parametrize("error", [ValueError("a shape"), SystemExit(3)])
def test_any_other_error_is_raised(error):
    with pytest.raises(type(error)):
        run_command(command(error))
