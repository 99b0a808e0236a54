"""What a failed run says last: one line that names the cause and what to do, and the exit status."""

from __future__ import annotations

import errno
import re

import torch

from ..utils.errors import MissingOperatorError, NonFiniteError
from ..utils.packages import chain

RESUME = "--resume goes on from the newest checkpoint in the work dir"

INTERRUPTED = 130  # 128 + SIGINT, as a shell says it

_FULL = (errno.ENOSPC, errno.EDQUOT)
_REFUSED = (errno.EROFS, errno.EACCES, errno.EPERM)


def describe_failure(error: BaseException) -> tuple[str, int] | None:
    """Say in one sentence what stopped a run from outside its own logic, and how to go on.

    Known are: a non-finite loss, an operator of mmcv that is not compiled, memory of the GPU or
    of the machine used up, shared memory or disk full, a place that cannot be written to, a data
    worker that died, and Ctrl-C. Errors that were raised while one of these was handled count as it.

    Args:
        error: what ended the run.

    Returns:
        ``(sentence, exit status)``: 130 for Ctrl-C as a shell has it, else 1. None where the
        error is none of these, so that its traceback should be seen.
    """
    for cause in chain(error):
        sentence = _sentence(cause)
        if sentence is not None:
            return sentence, INTERRUPTED if isinstance(cause, KeyboardInterrupt) else 1
    return None


def _sentence(error: BaseException) -> str | None:
    if isinstance(error, (NonFiniteError, MissingOperatorError)):
        return str(error)
    if isinstance(error, KeyboardInterrupt):
        return f"interrupted; {RESUME}"
    if isinstance(error, OSError):
        return _about_files(error)
    if isinstance(error, torch.cuda.OutOfMemoryError):
        return _out_of_gpu_memory(str(error))
    if isinstance(error, MemoryError):
        return _out_of_memory(str(error))
    if isinstance(error, RuntimeError):
        return _about_runtime(str(error))
    return None


def _about_files(error: OSError) -> str | None:
    named = f" {error.filename}" if error.filename else ""
    if error.errno in _FULL:
        return _disk_full(f"{error.strerror}{':' + named if named else ''}")
    if error.errno in _REFUSED:
        return (
            f"the system refuses access to{named or ' a file'} ({error.strerror}); wanted a work dir that can be "
            f"written to and data that can be read: choose another --work-dir, or fix the permissions; {RESUME}"
        )
    return None


def _about_runtime(message: str) -> str | None:
    first = message.split("\n")[0]
    # Torch writes what workers hand over to shared memory, and says it in the words of a full disk.
    if "unable to write to file </torch" in message or "unable to allocate shared memory" in message:
        return _dead_worker(f"the shared memory (/dev/shm) is full: {first}")
    worker = re.search(r"DataLoader worker \(pid(?:\(s\))? ([\d, ]+)\)(.*)", message)
    if worker:
        return _dead_worker(f"data worker {worker.group(1)}{worker.group(2).rstrip('. ')}")
    if "CUDA error: out of memory" in message or "CUBLAS_STATUS_ALLOC_FAILED" in message:
        return _out_of_gpu_memory(message)
    if "DefaultCPUAllocator" in message and "allocate memory" in message:
        return _out_of_memory(first)
    # The writer knows only that the file stopped growing.
    if "PytorchStreamWriter failed" in message or "unexpected pos" in message:
        return _disk_full("a checkpoint could not be written to its end")
    return None


def _disk_full(how: str) -> str:
    return (
        f"the disk is full ({how}); make room, or keep fewer checkpoints with "
        f"--cfg-options default_hooks.checkpoint.max_keep_ckpts=2; then {RESUME}"
    )


def _dead_worker(how: str) -> str:
    return (
        f"{how}; most often the machine ran out of memory or of shared memory: use fewer workers with "
        f"--cfg-options train_dataloader.num_workers=1, or a smaller batch; {RESUME}"
    )


def _out_of_gpu_memory(message: str) -> str:
    asked = re.search(r"Tried to allocate ([\d.]+ \w+)", message)
    return (
        f"the GPU ran out of memory{f' ({asked.group(1)} more were asked for)' if asked else ''}; use a smaller "
        f"train_dataloader.batch_size, with optim_wrapper.accumulative_counts to keep the effective one, or --amp; "
        f"{RESUME}"
    )


def _out_of_memory(message: str) -> str:
    why = f" ({message})" if message else ""
    return f"the machine ran out of memory{why}; use a smaller batch, or fewer workers; {RESUME}"
