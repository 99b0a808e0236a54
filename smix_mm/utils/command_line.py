"""What the command lines share. Nothing here imports torch or OpenMMLab, so ``--help`` is instant."""

from __future__ import annotations

import argparse
import errno
import linecache
import os
import re
import sys
import traceback
from pathlib import Path
from typing import Any, Callable, Mapping, Optional, Sequence, Tuple

from .choices import LAUNCHERS
from .errors import MissingOperatorError, NonFiniteError, SmixError, UsageError
from .packages import chain, describe_import_error

# The sentence that a command line prints for an error, and its exit status.
Description = Optional[Tuple[str, int]]
_PACKAGE = str(Path(__file__).parents[1])
_TRACEBACK = "SMIX_TRACEBACK"

RESUME = "--resume continues from the newest checkpoint in the work dir"

_FULL = (errno.ENOSPC, errno.EDQUOT)
_REFUSED = (errno.EROFS, errno.EACCES, errno.EPERM)
_DISK_FULL = (
    "the disk is full ({}); free some space, or keep fewer checkpoints with "
    "--cfg-options default_hooks.checkpoint.max_keep_ckpts=2"
)
_NO_ACCESS = (
    "the system refuses access to {} ({}); choose another folder, or change the permissions, so that the work dir can "
    "be written to and the data can be read"
)
_DEAD_WORKER = (
    "{}; most often the machine ran out of memory or of shared memory: use fewer workers with "
    "--cfg-options train_dataloader.num_workers=1, or a smaller batch"
)
_GPU_MEMORY = (
    "the GPU ran out of memory{}; use a smaller train_dataloader.batch_size, with optim_wrapper.accumulative_counts to "
    "keep the effective one, or --amp"
)
_MEMORY = "the machine ran out of memory{}; use a smaller batch, or fewer workers"
_ONE_IMAGE = (
    "a batch has one image, too few for batch normalization; leave out an incomplete last batch with --cfg-options "
    "train_dataloader.drop_last=True, or use another train_dataloader.batch_size"
)


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
        The exit status of ``work`` or of the error. An error without a description is raised.
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
        machine, see :func:`describe_failure`; 2 if a package does not import, a file cannot
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


def describe_failure(error: BaseException, then: str = "") -> str | None:
    """A sentence about a failure of the machine, the error itself or a cause or context of it; None for other errors.

    It ends with ``then``, what to do when the failure is repaired, such as :data:`RESUME`.
    """
    sentences = (_sentence(cause) for cause in chain(error))
    found = next((sentence for sentence in sentences if sentence), None)
    return "; ".join(filter(None, (found, then))) if found else None


def _sentence(error: BaseException) -> str | None:
    message = str(error)
    first = message.split("\n")[0]
    runtime = message if isinstance(error, RuntimeError) else ""
    if isinstance(error, OSError) and error.errno in _FULL:
        return _DISK_FULL.format(f"{error.strerror}: {error.filename}" if error.filename else error.strerror)
    if isinstance(error, OSError) and error.errno in _REFUSED:
        return _NO_ACCESS.format(error.filename or "a file", error.strerror)
    # Torch's workers pass data through shared memory, and report it in the same words as a full disk.
    if "unable to write to file </torch" in runtime or "unable to allocate shared memory" in runtime:
        return _DEAD_WORKER.format(f"the shared memory (/dev/shm) is full: {first}")
    if worker := re.search(r"DataLoader worker \(pid(?:\(s\))? ([\d, ]+)\)(.*)", runtime):
        return _DEAD_WORKER.format(f"data worker {worker.group(1)}{worker.group(2).rstrip('. ')}")
    # Torch's own error, which need not be installed, and those of its libraries.
    on_gpu = type(error).__name__ == "OutOfMemoryError"
    if on_gpu or "CUDA error: out of memory" in runtime or "CUBLAS_STATUS_ALLOC_FAILED" in runtime:
        requested = re.search(r"Tried to allocate ([\d.]+ \w+)", message)
        return _GPU_MEMORY.format(f" ({requested.group(1)} more were requested)" if requested else "")
    if isinstance(error, MemoryError) or ("DefaultCPUAllocator" in runtime and "allocate memory" in runtime):
        return _MEMORY.format(f" ({first})" if first else "")
    # These messages of torch's writer do not contain the reason.
    if "PytorchStreamWriter failed" in runtime or "unexpected pos" in runtime:
        return _DISK_FULL.format("a checkpoint could not be written completely")
    if isinstance(error, ValueError) and "Expected more than 1 value per channel when training" in message:
        return _ONE_IMAGE
    return None


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


def columns_by_name(columns: Sequence[tuple[str, str]]) -> dict[str, str]:
    """The files of a figure's columns by name; refuses two of one name."""
    names = [name for name, _ in columns]
    if twice := [name for name in names if names.count(name) > 1]:
        raise UsageError(f"columns should have different names, got {twice[0]} twice; give NAME=FILE for each")
    return dict(columns)


def parse_size(text: str) -> tuple[int, int]:
    """``(height, width)`` of ``SIDE`` or ``HEIGHTxWIDTH``."""
    height, _, width = text.partition("x")
    try:
        return int(height), int(width or height)
    except ValueError:
        raise argparse.ArgumentTypeError(f"should be SIDE or HEIGHTxWIDTH, got {text!r}.") from None
