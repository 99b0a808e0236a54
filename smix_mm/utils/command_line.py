"""What the command lines share. Nothing here imports torch or OpenMMLab, so ``--help`` is instant."""

from __future__ import annotations

import argparse
import linecache
import os
import sys
import traceback
from pathlib import Path
from typing import Any, Callable, Mapping, Optional, Tuple

from .choices import LAUNCHERS
from .errors import MissingOperatorError, NonFiniteError, SmixError
from .failures import describe_failure
from .packages import chain, describe_import_error

# The sentence that a command line prints for an error, and its exit status.
Description = Optional[Tuple[str, int]]
_PACKAGE = str(Path(__file__).parents[1])
_TRACEBACK = "SMIX_TRACEBACK"


def run_command(
    work: Callable[[], int | None],
    program: str | None = None,
    statuses: Mapping[type[Exception], int] | None = None,
    interrupted: str = "",
    after_failure: str = "",
) -> int:
    """Run a command, and print an error that its user can fix as one sentence on stderr.

    A process group of torch is destroyed in any case. With the environment variable ``SMIX_TRACEBACK``, the traceback
    is printed too.

    Args:
        work: Does the work and returns the exit status, or None for 0.
        program: Its name, before the sentence. Defaults to the file name of ``sys.argv[0]``.
        statuses, interrupted, after_failure: See :func:`describe_error`.

    Returns:
        The exit status: that of ``work``, or that of the error. An error without a description is raised, because
        its traceback is needed.
    """
    try:
        return work() or 0
    except BaseException as error:
        described = describe_error(error, statuses, interrupted, after_failure)
        if described is None:
            raise
        if os.environ.get(_TRACEBACK):
            traceback.print_exc()
    finally:
        distributed = sys.modules.get("torch.distributed")
        if distributed is not None and distributed.is_available() and distributed.is_initialized():
            distributed.destroy_process_group()
    print(f"{program or Path(sys.argv[0]).name}: {described[0]}", file=sys.stderr)
    return described[1]


def describe_error(
    error: BaseException,
    statuses: Mapping[type[Exception], int] | None = None,
    interrupted: str = "",
    after_failure: str = "",
) -> Description:
    """The sentence and the exit status for an error that the user can fix.

    Args:
        error: What ended the command.
        statuses: Exit statuses by class of error, beyond those that every command reports; the first class that
            an error is an instance of counts.
        interrupted: What to add to the sentence after Ctrl-C.
        after_failure: What to add to the sentence about a failure of the machine.

    Returns:
        130 after Ctrl-C; the ``exit_status`` of a :class:`~smix_mm.utils.errors.SmixError`; 1 for a failure of the
        machine, see :func:`~smix_mm.utils.failures.describe_failure`; 2 if a package does not import, a file cannot
        be used, or this package raised a ValueError, TypeError or RuntimeError itself. None for any other error.
    """
    causes = list(chain(error))
    if any(isinstance(cause, KeyboardInterrupt) for cause in causes):
        return "; ".join(filter(None, ["interrupted", interrupted])), 130
    if not isinstance(error, Exception):
        return None
    error = next((cause for cause in causes if isinstance(cause, (MissingOperatorError, NonFiniteError))), error)
    status = next((status for kind, status in (statuses or {}).items() if isinstance(error, kind)), None)
    if isinstance(error, SmixError):
        return _message(error), error.exit_status if status is None else status
    sentence = describe_import_error(error)
    if sentence is not None:
        return sentence, 2
    if status is None and (failure := describe_failure(error, after_failure)):
        return failure, 1
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}", 2 if status is None else status
    if status is None and (isinstance(error, (FileNotFoundError, ModuleNotFoundError)) or _is_refusal(error)):
        status = 2
    return None if status is None else (_message(error), status)


def _message(error: BaseException) -> str:
    message = str(error).strip()
    if "Original Traceback" in message:  # raised in a worker of a DataLoader
        message = message.splitlines()[-1].rpartition(f"{type(error).__name__}: ")[2]
    return message


def _is_refusal(error: BaseException) -> bool:
    """Whether a ``raise`` statement of this package is what raised the error."""
    frames = traceback.extract_tb(error.__traceback__)
    if not frames or not isinstance(error, (ValueError, TypeError, RuntimeError)):
        return False
    file, line = frames[-1].filename, frames[-1].lineno or 0
    return file.startswith(_PACKAGE) and linecache.getline(file, line).lstrip().startswith("raise ")


class _ConfigOptions(argparse.Action):
    """mmengine's ``DictAction``, imported only when the option is given."""

    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: str | None = None) -> None:
        for text in values:
            if not text.partition("=")[0].strip() or "=" not in text:
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
