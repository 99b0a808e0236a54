"""What the command lines share. Nothing here imports torch or OpenMMLab, so ``--help`` is instant."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any, Callable, Mapping, Optional, Tuple

from .choices import LAUNCHERS
from .errors import SmixError
from .packages import describe_import_error

# The sentence that a command line prints for an error, and its exit status.
Description = Optional[Tuple[str, int]]


def run_command(
    work: Callable[[], int | None],
    program: str | None = None,
    statuses: Mapping[type[Exception], int] | None = None,
    interrupted: str = "",
    describe: Callable[[BaseException], Description] | None = None,
) -> int:
    """Run a command, and print an error that its user can fix as one sentence on stderr.

    Args:
        work: does the work and returns the exit status, or None for 0.
        program: its name, before the sentence. Defaults to the file name of ``sys.argv[0]``.
        statuses, interrupted: see :func:`describe_error`.
        describe: replaces :func:`describe_error`.

    Returns:
        The exit status: that of ``work``, or that of the error. An error without a description is raised, because
        its traceback is needed.
    """
    try:
        return work() or 0
    except BaseException as error:
        described = describe(error) if describe else describe_error(error, statuses, interrupted)
        if described is None:
            raise
    print(f"{program or Path(sys.argv[0]).name}: {described[0]}", file=sys.stderr)
    return described[1]


def describe_error(
    error: BaseException, statuses: Mapping[type[Exception], int] | None = None, interrupted: str = ""
) -> Description:
    """The sentence and the exit status for an error that the user can fix.

    Args:
        error: what ended the command.
        statuses: exit statuses by class of error, beyond those that every command reports; the first class that
            an error is an instance of counts.
        interrupted: what to add to the sentence after Ctrl-C.

    Returns:
        130 after Ctrl-C; the ``exit_status`` of a :class:`~smix_mm.utils.errors.SmixError`; 2 if a package does not
        import or a file does not exist. None for any other error.
    """
    if isinstance(error, KeyboardInterrupt):
        return "; ".join(filter(None, ["interrupted", interrupted])), 130
    if not isinstance(error, Exception):
        return None
    status = next((status for kind, status in (statuses or {}).items() if isinstance(error, kind)), None)
    if isinstance(error, SmixError):
        message = str(error).strip()
        if "Original Traceback" in message:  # raised in a worker of a DataLoader
            message = message.splitlines()[-1].rpartition(f"{type(error).__name__}: ")[2]
        return message, error.exit_status if status is None else status
    sentence = describe_import_error(error)
    if sentence is not None:
        return sentence, 2
    if isinstance(error, FileNotFoundError) and status is None:
        status = 2
    if status is None:
        return None
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}", status
    return str(error), status


class _ConfigOptions(argparse.Action):
    """mmengine's ``DictAction``, imported only when the option is given."""

    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: str | None = None) -> None:
        for text in values:
            if "=" not in text:
                raise argparse.ArgumentError(self, f"should be KEY=VALUE, got {text!r}.")
        from mmengine.config import DictAction

        DictAction(self.option_strings, self.dest)(parser, namespace, values, option_string)


def add_cfg_options(parser: argparse.ArgumentParser, help: str = "settings that override the config's") -> None:
    """``--cfg-options KEY=VALUE ...``, parsed into ``cfg_options``: a dict by dotted name, or None."""
    parser.add_argument("--cfg-options", nargs="+", action=_ConfigOptions, metavar="KEY=VALUE", help=help)


def add_common_arguments(parser: argparse.ArgumentParser) -> None:
    """The options that training and testing share."""
    parser.add_argument("--work-dir", help="folder for logs and checkpoints (default: work_dirs/<config's name>)")
    add_cfg_options(
        parser, "settings that override the config's, such as train_dataloader.batch_size=64 or key='[a,b]'"
    )
    parser.add_argument("--launcher", choices=LAUNCHERS, default="none", help="how several processes are started")
    # torch.distributed.launch passes either spelling.
    parser.add_argument("--local_rank", "--local-rank", type=int, default=0, help="set by the launcher")


def parse_size(text: str) -> tuple[int, int]:
    """``(height, width)`` of ``SIDE`` or ``HEIGHTxWIDTH``."""
    height, _, width = text.partition("x")
    try:
        return int(height), int(width or height)
    except ValueError:
        raise argparse.ArgumentTypeError(f"should be SIDE or HEIGHTxWIDTH, got {text!r}.") from None
