"""Failures of a run that are not errors in its code, as one sentence with the cause and what to do."""

from __future__ import annotations

import errno
import re

import torch

from ..utils.errors import MissingOperatorError, NonFiniteError
from ..utils.packages import chain

RESUME = "--resume continues from the newest checkpoint in the work dir"

INTERRUPTED = 130  # 128 + SIGINT, as in a shell

_FULL = (errno.ENOSPC, errno.EDQUOT)
_REFUSED = (errno.EROFS, errno.EACCES, errno.EPERM)


def describe_failure(error: BaseException) -> tuple[str, int] | None:
    """Describe in one sentence what ended a run, and how to continue.

    Known failures are a non-finite loss, an mmcv operator that is not compiled, a lack of memory of the GPU or the
    machine, of shared memory or disk space, missing permissions, a killed data worker, and Ctrl-C. The causes and
    contexts of the error are searched too.

    Args:
        error: What ended the run.

    Returns:
        ``(sentence, exit status)``, with 130 for Ctrl-C, else 1. None for any other error, whose traceback should be
        shown.
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
            f"the system refuses access to{named or ' a file'} ({error.strerror}); use another --work-dir, or change "
            f"the permissions, so that the work dir can be written to and the data can be read; {RESUME}"
        )
    return None


def _about_runtime(message: str) -> str | None:
    first = message.split("\n")[0]
    # Torch's workers pass data through shared memory, and report it in the same words as a full disk.
    if "unable to write to file </torch" in message or "unable to allocate shared memory" in message:
        return _dead_worker(f"the shared memory (/dev/shm) is full: {first}")
    worker = re.search(r"DataLoader worker \(pid(?:\(s\))? ([\d, ]+)\)(.*)", message)
    if worker:
        return _dead_worker(f"data worker {worker.group(1)}{worker.group(2).rstrip('. ')}")
    if "CUDA error: out of memory" in message or "CUBLAS_STATUS_ALLOC_FAILED" in message:
        return _out_of_gpu_memory(message)
    if "DefaultCPUAllocator" in message and "allocate memory" in message:
        return _out_of_memory(first)
    # These messages of torch's writer do not contain the reason.
    if "PytorchStreamWriter failed" in message or "unexpected pos" in message:
        return _disk_full("a checkpoint could not be written completely")
    return None


def _disk_full(how: str) -> str:
    return (
        f"the disk is full ({how}); free some space, or keep fewer checkpoints with "
        f"--cfg-options default_hooks.checkpoint.max_keep_ckpts=2; then {RESUME}"
    )


def _dead_worker(how: str) -> str:
    return (
        f"{how}; most often the machine ran out of memory or of shared memory: use fewer workers with "
        f"--cfg-options train_dataloader.num_workers=1, or a smaller batch; {RESUME}"
    )


def _out_of_gpu_memory(message: str) -> str:
    requested = re.search(r"Tried to allocate ([\d.]+ \w+)", message)
    how_much = f" ({requested.group(1)} more were requested)" if requested else ""
    return (
        f"the GPU ran out of memory{how_much}; use a smaller train_dataloader.batch_size, with "
        f"optim_wrapper.accumulative_counts to keep the effective one, or --amp; {RESUME}"
    )


def _out_of_memory(message: str) -> str:
    why = f" ({message})" if message else ""
    return f"the machine ran out of memory{why}; use a smaller batch, or fewer workers; {RESUME}"
