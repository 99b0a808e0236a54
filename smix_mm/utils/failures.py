"""Failures of a run that are not errors in its code, as one sentence with the cause and what to do."""

from __future__ import annotations

import errno
import re

from .packages import chain

RESUME = "--resume continues from the newest checkpoint in the work dir"

_FULL = (errno.ENOSPC, errno.EDQUOT)
_REFUSED = (errno.EROFS, errno.EACCES, errno.EPERM)


def describe_failure(error: BaseException, then: str = "") -> str | None:
    """Describe in one sentence a failure of the machine that ended a command, and how to continue.

    Known failures are a lack of memory of the GPU or the machine, of shared memory or disk space, missing permissions,
    a killed data worker, and a batch of one image under batch normalization. The causes and contexts of the
    error are searched too.

    Args:
        error: What ended the command.
        then: What to do when the failure is repaired, such as :data:`RESUME`. Defaults to nothing.

    Returns:
        The sentence, or None for any other error.
    """
    sentences = (_sentence(cause) for cause in chain(error))
    found = next((sentence for sentence in sentences if sentence), None)
    return "; ".join(filter(None, (found, then))) if found else None


def _sentence(error: BaseException) -> str | None:
    if isinstance(error, OSError):
        return _about_files(error)
    if type(error).__name__ == "OutOfMemoryError":  # torch's, which need not be installed
        return _out_of_gpu_memory(str(error))
    if isinstance(error, MemoryError):
        return _out_of_memory(str(error))
    if isinstance(error, RuntimeError):
        return _about_runtime(str(error))
    if isinstance(error, ValueError) and "Expected more than 1 value per channel when training" in str(error):
        return (
            "a batch has one image, too few for batch normalization; leave out an incomplete last batch with "
            "--cfg-options train_dataloader.drop_last=True, or use another train_dataloader.batch_size"
        )
    return None


def _about_files(error: OSError) -> str | None:
    named = f" {error.filename}" if error.filename else ""
    if error.errno in _FULL:
        return _disk_full(f"{error.strerror}{':' + named if named else ''}")
    if error.errno in _REFUSED:
        return (
            f"the system refuses access to{named or ' a file'} ({error.strerror}); choose another folder, or change "
            "the permissions, so that the work dir can be written to and the data can be read"
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
        "--cfg-options default_hooks.checkpoint.max_keep_ckpts=2"
    )


def _dead_worker(how: str) -> str:
    return (
        f"{how}; most often the machine ran out of memory or of shared memory: use fewer workers with "
        "--cfg-options train_dataloader.num_workers=1, or a smaller batch"
    )


def _out_of_gpu_memory(message: str) -> str:
    requested = re.search(r"Tried to allocate ([\d.]+ \w+)", message)
    how_much = f" ({requested.group(1)} more were requested)" if requested else ""
    return (
        f"the GPU ran out of memory{how_much}; use a smaller train_dataloader.batch_size, with "
        "optim_wrapper.accumulative_counts to keep the effective one, or --amp"
    )


def _out_of_memory(message: str) -> str:
    why = f" ({message})" if message else ""
    return f"the machine ran out of memory{why}; use a smaller batch, or fewer workers"
