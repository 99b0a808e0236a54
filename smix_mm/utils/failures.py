"""Failures of a run that are not errors in its code, as one sentence with the cause and what to do."""

from __future__ import annotations

import errno
import re

from .packages import chain

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


def describe_failure(error: BaseException, then: str = "") -> str | None:
    """Describe in one sentence a failure of the machine that ended a command, and how to continue.

    The causes and contexts of the error are searched too.

    Args:
        error: What ended the command.
        then: What to do when the failure is repaired, such as :data:`RESUME`. Defaults to nothing.

    Returns:
        The sentence, or None for any other error than those of this module.
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
