"""The command lines: a module for each file of ``tools/``, of the same name.

A module has

- a docstring, which ``--help`` shows: what is before ``examples:`` as the description, the rest after the options;
- ``add_arguments(parser)``;
- ``run(options)``, which does the work and returns the exit status, or None for 0. What takes seconds to import is
  imported there, so that ``--help`` and a mistyped option need none of it;
- optionally ``ERRORS``, ``INTERRUPTED`` and ``AFTER_FAILURE``, see ``statuses``, ``interrupted`` and ``after_failure``
  of :func:`smix_mm.utils.command_line.describe_error`.
"""

from __future__ import annotations

import argparse
import os
from importlib import import_module
from typing import Sequence

from ..utils.command_line import run_command
from ..utils.imported_code import VARIABLE, record_imports


def run(name: str, arguments: Sequence[str] | None = None, program: str | None = None) -> int:
    """Run a command line.

    Args:
        name: module of this package.
        arguments: defaults to those of this process.
        program: its name in messages. Defaults to that of its file in ``tools/``.

    Returns:
        The exit status.
    """
    if VARIABLE in os.environ:  # a study records which code its runs use
        record_imports(os.environ[VARIABLE])
    command, program = import_module(f".{name}", __name__), program or f"{name}.py"
    parser = make_parser(name, program)
    return run_command(
        lambda: command.run(parser.parse_args(arguments)),
        program,
        getattr(command, "ERRORS", None),
        getattr(command, "INTERRUPTED", ""),
        getattr(command, "AFTER_FAILURE", ""),
    )


def make_parser(name: str, program: str, parser: argparse.ArgumentParser | None = None) -> argparse.ArgumentParser:
    """The parser of a command line.

    Args:
        name: module of this package.
        program: what its examples begin with.
        parser: add its arguments to this parser. Defaults to None, for a new one.
    """
    command = import_module(f".{name}", __name__)
    parser = parser or argparse.ArgumentParser(prog=program, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.description, examples, text = (command.__doc__ or "").partition("examples:\n")
    parser.epilog = examples + text
    if not program.endswith(".py"):
        parser.epilog = parser.epilog.replace(f"python tools/{name}.py", program)
    command.add_arguments(parser)
    return parser
