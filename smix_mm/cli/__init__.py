"""The command lines: a module for each file of ``tools/``, of the same name.

A module has

- a docstring, which ``--help`` shows as the description;
- ``EXAMPLES``, which ``--help`` shows at its end;
- ``add_arguments(parser)``;
- ``run(options)``, which does the work and returns the exit status, or None for 0. What takes seconds to import is
  imported there, so that ``--help`` and a mistyped option need none of it;
- optionally ``ERRORS``, ``INTERRUPTED`` and ``AFTER_FAILURE``, see ``statuses``, ``interrupted`` and ``after_failure``
  of :func:`smix_mm.utils.command_line.describe_error`.
"""

from __future__ import annotations

import argparse
from importlib import import_module
from typing import Sequence

from ..utils.command_line import run_command


def run(name: str, arguments: Sequence[str] | None = None) -> int:
    """Run a command line.

    Args:
        name: module of this package.
        arguments: defaults to those of this process.

    Returns:
        The exit status.
    """
    command, program = import_module(f".{name}", __name__), f"{name}.py"
    parser = argparse.ArgumentParser(
        prog=program,
        description=command.__doc__,
        epilog=command.EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_arguments(parser)
    return run_command(
        lambda: command.run(parser.parse_args(arguments)),
        program,
        getattr(command, "ERRORS", None),
        getattr(command, "INTERRUPTED", ""),
        getattr(command, "AFTER_FAILURE", ""),
    )
