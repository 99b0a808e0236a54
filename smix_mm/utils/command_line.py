"""Shared parts of the command lines.

A command line parses its arguments before it imports torch and the OpenMMLab packages, which take many seconds, so
that ``--help`` and a mistyped option are answered at once. Therefore this module imports none of them.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any, Callable, Optional, Tuple

from .choices import LAUNCHERS
from .errors import SmixError
from .packages import describe_import_error

# The sentence that a command line prints for an error, and its exit status.
Description = Optional[Tuple[str, int]]


def describe_error(error: BaseException) -> Description:
    """Describe an error that the user can fix.

    Args:
        error: What ended the command.

    Returns:
        The message and exit status of a :class:`~smix_mm.utils.errors.SmixError`; a sentence and 2 for a package of
        OpenMMLab that is missing or cannot be imported; None for any other error, whose traceback should be shown.
    """
    if isinstance(error, SmixError):
        message = str(error).strip()
        if "Original Traceback" in message:  # raised in a worker of a DataLoader
            message = message.splitlines()[-1].rpartition(f"{type(error).__name__}: ")[2]
        return message, error.exit_status
    sentence = describe_import_error(error) if isinstance(error, Exception) else None
    return None if sentence is None else (sentence, 2)


def run_command(main: Callable[[], int], describe: Callable[[BaseException], Description] = describe_error) -> int:
    """Run a command line; errors that the user can fix are printed to stderr without a traceback.

    Args:
        main: Returns the exit status.
        describe: Describes an error, or returns None to raise it again.

    Returns:
        The exit status of ``main``, or that of the error.
    """
    try:
        return main()
    except BaseException as error:
        described = describe(error)
        if described is None:
            raise
        print(f"{Path(sys.argv[0]).name}: {described[0]}", file=sys.stderr)
        return described[1]


class _ConfigOptions(argparse.Action):
    """mmengine's ``DictAction``, imported only if the option is used."""

    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: str | None = None) -> None:
        from mmengine.config import DictAction

        DictAction(self.option_strings, self.dest)(parser, namespace, values, option_string)


def add_cfg_options(parser: argparse.ArgumentParser, help: str = "settings that override the config's") -> None:
    """Add ``--cfg-options KEY=VALUE ...``, parsed into a dict ``cfg_options`` by dotted name; None by default."""
    parser.add_argument("--cfg-options", nargs="+", action=_ConfigOptions, metavar="KEY=VALUE", help=help)


def add_common_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that training and testing share."""
    parser.add_argument("--work-dir", help="folder for logs and checkpoints (default: work_dirs/<config's name>)")
    add_cfg_options(parser, "settings that override the config's: train_dataloader.batch_size=64 or key='[a,b]'")
    parser.add_argument("--launcher", choices=LAUNCHERS, default="none", help="how several processes are started")
    # torch.distributed.launch uses one spelling or the other, by its release.
    parser.add_argument("--local_rank", "--local-rank", type=int, default=0, help="set by the launcher")


def parse_size(text: str) -> tuple[int, int]:
    """Parse ``224`` or ``HEIGHTxWIDTH`` to ``(height, width)``."""
    height, _, width = text.partition("x")
    return int(height), int(width or height)
