"""Every command line: its parser, and errors as one sentence with an exit status."""

import argparse
from importlib import import_module
from pathlib import Path

import pytest

from smix_mm.cli import run
from smix_mm.utils.command_line import add_cfg_options, parse_size, run_command
from smix_mm.utils.errors import DataError, PackageError, StepError, UsageError

ROOT = Path(__file__).parents[2]
COMMANDS = sorted(path.stem for path in (ROOT / "smix_mm/cli").glob("[a-z]*.py") if path.stem != "main")


def test_every_command_has_a_tool_and_every_tool_a_command():
    assert sorted(path.stem for path in (ROOT / "tools").glob("*.py")) == COMMANDS
    tools = {(ROOT / f"tools/{name}.py").read_text().replace(name, "NAME") for name in COMMANDS}
    assert len(tools) == 1


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_has_a_description_and_examples_of_the_command(name, capsys):
    with pytest.raises(SystemExit) as ended:
        run(name, ["--help"])
    printed = capsys.readouterr().out
    assert ended.value.code == 0 and printed.startswith(f"usage: {name}.py ")
    for part in import_module(f"smix_mm.cli.{name}").__doc__.split("examples:\n"):
        assert part.strip() in printed
    assert f"  python tools/{name}.py " in printed.partition("\nexamples:\n")[2]


@pytest.mark.parametrize(
    "error, status, sentence",
    [
        (UsageError("alpha should be a positive number, got -1."), 2, "alpha should be a positive number, got -1."),
        (StepError("step failed"), 1, "step failed"),
        (PackageError("mmdet is not installed"), 2, "mmdet is not installed"),
        (FileNotFoundError(2, "No such file or directory", "a.pth"), 2, "a.pth: No such file or directory"),
        (FileNotFoundError("checkpoint a.pth does not exist"), 2, "checkpoint a.pth does not exist"),
        (PermissionError(13, "Permission denied", "out"), 3, "out: Permission denied"),
        (DataError("archive is broken"), 1, "archive is broken"),
        (KeyboardInterrupt(), 130, "interrupted; start it again"),
    ],
)
def test_an_error_of_the_user_is_one_sentence_with_its_status(error, status, sentence, capsys):
    def work():
        raise error

    assert run_command(work, "tool.py", {PermissionError: 3, DataError: 1}, "start it again") == status
    assert capsys.readouterr().err == f"tool.py: {sentence}\n"


def test_any_other_error_is_raised_and_the_status_of_the_work_returned():
    with pytest.raises(ZeroDivisionError):
        run_command(lambda: 1 // 0)
    assert run_command(lambda: None) == 0 and run_command(lambda: 1) == 1


def test_options_that_cannot_be_parsed_end_with_their_expected_form(capsys):
    parser = argparse.ArgumentParser()
    add_cfg_options(parser)
    parser.add_argument("--size", type=parse_size)
    assert parser.parse_args(["--size", "32", "--cfg-options", "a.b=[1,2]"]).size == (32, 32)
    assert parser.parse_args(["--size", "375x500", "--cfg-options", "a.b=[1,2]"]).cfg_options == {"a.b": [1, 2]}
    for arguments, message in (
        (["--size", "wide"], "argument --size: should be SIDE or HEIGHTxWIDTH, got 'wide'."),
        (["--cfg-options", "a.b"], "argument --cfg-options: should be KEY=VALUE, got 'a.b'."),
    ):
        with pytest.raises(SystemExit) as ended:
            parser.parse_args(arguments)
        assert ended.value.code == 2 and message in capsys.readouterr().err
