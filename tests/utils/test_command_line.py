"""Errors that a command line prints as one sentence, and those whose traceback it shows."""

import errno
import os
import subprocess
import sys

import pytest
import torch
from torch._utils import ExceptionWrapper
from torch.utils.data import DataLoader, Dataset

from smix_mm.utils import errors
from smix_mm.utils.command_line import RESUME, describe_error, run_command
from smix_mm.utils.errors import MissingOperatorError, NonFiniteError
from smix_mm.utils.mmcv_operators import missing

CLASSES = [each for each in vars(errors).values() if isinstance(each, type)]


def command(error):
    def work() -> int:
        raise error

    return work


@pytest.mark.parametrize("kind", CLASSES)
def test_every_error_for_users_is_one_sentence_with_its_exit_status(kind, capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["tools/some.py"])
    assert run_command(command(kind("alpha should be positive, got -1"))) == kind.exit_status
    assert capsys.readouterr().err == "some.py: alpha should be positive, got -1\n"


def test_of_an_error_in_a_data_worker_only_the_message_is_printed(capsys):
    try:
        raise errors.DataError("a.jpg cannot be read: it is empty")
    except errors.DataError:
        wrapper = ExceptionWrapper(where="in DataLoader worker process 0")
    assert run_command(wrapper.reraise) == 2
    assert capsys.readouterr().err.endswith(": a.jpg cannot be read: it is empty\n")


@pytest.mark.parametrize("error", [ValueError("a shape"), SystemExit(3)])
def test_any_other_error_is_raised(error):
    with pytest.raises(type(error)):
        run_command(command(error))


WORKER = "DataLoader worker (pid 4711) is killed by signal: Killed. "
WORKERS = "DataLoader worker (pid(s) 4711, 4712) exited unexpectedly"
SHARED = "unable to write to file </torch_12_34_5>: No space left on device (28)"
CPU = "[enforce fail at alloc_cpu.cpp:117] . DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes."
GPU = "CUDA out of memory. Tried to allocate 2.50 GiB. GPU 0 has a total capacity of 3 GiB"


def describe_failure(error):
    return describe_error(error, interrupted=RESUME, after_failure=RESUME)


@pytest.mark.parametrize(
    "error, status, sentence",
    [
        (KeyboardInterrupt(), 130, "interrupted; --resume continues from the newest checkpoint in the work dir"),
        (NonFiniteError("iteration 3 has no finite loss"), 1, "iteration 3 has no finite loss"),
        (
            torch.cuda.OutOfMemoryError(GPU),
            1,
            "the GPU ran out of memory (2.50 GiB more were requested); use a smaller",
        ),
        (missing("psamask_forward"), 1, "mmcv's operator psamask_forward is not compiled and has no replacement"),
        (RuntimeError("CUDA error: out of memory\nCUDA kernel errors"), 1, "the GPU ran out of memory; use a smaller"),
        (RuntimeError(CPU), 1, "the machine ran out of memory ([enforce fail"),
        (
            ValueError(
                "Expected more than 1 value per channel when training, got input size torch.Size([1, 64, 1, 1])"
            ),
            1,
            "a batch has one image, too few for batch normalization; leave out an incomplete last batch",
        ),
        (MemoryError(), 1, "the machine ran out of memory; use a smaller batch, or fewer workers"),
        (OSError(errno.ENOSPC, "No space left on device"), 1, "the disk is full (No space left on device); free some"),
        (
            OSError(errno.EDQUOT, "Quota exceeded", "w/a.pth"),
            1,
            "the disk is full (Quota exceeded: w/a.pth); free",
        ),
        (
            RuntimeError("[enforce] . PytorchStreamWriter failed writing file data/3"),
            1,
            "the disk is full (a checkpoint",
        ),
        (OSError(errno.EROFS, "Read-only file system", "w/a"), 1, "the system refuses access to w/a (Read-only file"),
        (PermissionError(errno.EACCES, "Permission denied", "w/a"), 1, "the system refuses access to w/a (Permission"),
        (RuntimeError(WORKER), 1, "data worker 4711 is killed by signal: Killed; most often the machine ran out of"),
        (RuntimeError(WORKERS), 1, "data worker 4711, 4712 exited unexpectedly; most often"),
        (RuntimeError(SHARED), 1, "the shared memory (/dev/shm) is full: unable to write"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_a_known_failure_is_one_line_that_says_what_to_do(error, status, sentence):
    said, code = describe_failure(error)
    assert code == status and said.startswith(sentence) and "\n" not in said
    assert "--resume" in said or isinstance(error, (NonFiniteError, MissingOperatorError))


@pytest.mark.parametrize(
    "error",
    [
        ValueError("a shape"),
        RuntimeError("mat1 and mat2 shapes cannot be multiplied"),
        OSError("no number"),
        SystemExit(3),
    ],
)
def test_of_any_other_error_nothing_is_said_so_that_its_traceback_is_seen(error):
    assert describe_failure(error) is None


def test_the_cause_behind_an_error_counts():
    with pytest.raises(RuntimeError) as caught:
        try:
            raise OSError(errno.ENOSPC, "No space left on device")
        finally:
            raise RuntimeError("the checkpoint could not be saved")
    assert describe_failure(caught.value) == describe_failure(OSError(errno.ENOSPC, "No space left on device"))
    with pytest.raises(ValueError) as caught:
        try:
            raise KeyboardInterrupt
        except KeyboardInterrupt:
            raise ValueError("another matter") from None
    assert describe_failure(caught.value) is None


class Dying(Dataset):
    """A dataset whose worker kills itself."""

    def __len__(self):
        return 4

    def __getitem__(self, index):
        os.kill(os.getpid(), 9)


def test_torchs_own_words_for_a_dead_worker_are_understood():
    with pytest.raises(RuntimeError) as caught:
        list(DataLoader(Dying(), num_workers=1))
    said, status = describe_failure(caught.value)
    assert status == 1 and said.startswith("data worker ") and "most often the machine ran out of memory" in said


def test_torchs_own_words_for_a_full_disk_are_understood(small_disk):
    with pytest.raises((RuntimeError, OSError)) as caught:
        torch.save(torch.zeros(1_000_000), small_disk / "weights.pth")
    said, status = describe_failure(caught.value)
    assert status == 1 and said.startswith("the disk is full")


def test_torchs_own_words_for_too_much_memory_are_understood():
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**55, dtype=torch.uint8)
    said, status = describe_failure(caught.value)
    assert status == 1 and said.startswith("the machine ran out of memory")


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 1 MiB."""
    if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", tmp_path]).returncode:
        pytest.skip("a file system can be mounted by root alone")
    yield tmp_path
    subprocess.run(["umount", "--lazy", tmp_path], check=True)  # the error caught still holds the file open
