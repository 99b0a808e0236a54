"""Blows from outside, for real: each run ends with one clear line, an exit status that tells, and whole checkpoints."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from smix_mm.transfer.checkpoint import read_checkpoint

ROOT = Path(__file__).parents[2]
CONFIG = Path(__file__).with_name("breaking_config.py")


@pytest.fixture
def blow(forked_train, few_cifar10, tmp_path):
    """Train the config, in ``tmp_path`` unless told otherwise, with a blow before iteration 4 of its 8."""

    def start(what="", *arguments, folder=tmp_path, **options):
        settings = {
            "train_dataloader.dataset.data_root": few_cifar10,
            "custom_hooks.0.at": 4 if what else 0,
            "custom_hooks.0.what": what,
            "train_dataloader.num_workers": 2,
            **options,
        }
        return forked_train(
            CONFIG, folder, *arguments, "--cfg-options", *(f"{name}={value}" for name, value in settings.items())
        )

    return start


@pytest.fixture
def mounted(tmp_path):
    """Mount a file system in memory with mount's options ``-o``."""
    folder = tmp_path / "disk"
    folder.mkdir()

    def mount(options):
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder]
        if os.geteuid() != 0 or subprocess.run(command, capture_output=True).returncode:
            pytest.skip("mounting takes root, and a system that allows it")
        return folder

    yield mount
    if os.path.ismount(folder):
        # Workers of a run that has ended so suddenly live for some seconds more.
        subprocess.run(["umount", "--lazy", folder], check=True)


def last_line(output: str) -> str:
    return output.rstrip().splitlines()[-1]


def iterations(folder: Path) -> list[int]:
    """How far each checkpoint in a folder is; every one of them can be read."""
    return sorted(read_checkpoint(path)["meta"]["iter"] for path in folder.glob("*.pth"))


def hidden(folder: Path) -> list[str]:
    return [path.name for path in folder.glob(".*")]


@pytest.mark.parametrize(
    "what, sentence",
    [
        (
            "memory",
            "train.py: the GPU ran out of memory (2.50 GiB more were requested); use a smaller train_dataloader",
        ),
        ("worker", "train.py: data worker "),
    ],
)
def test_out_of_memory_and_dead_workers_end_with_one_line_and_good_checkpoints(blow, what, sentence):
    finished = blow(what)
    assert finished.status == 1
    assert last_line(finished.output).startswith(sentence)
    assert last_line(finished.output).endswith("--resume continues from the newest checkpoint in the work dir")
    assert "Traceback" not in finished.output
    assert iterations(finished.work_dir) == [1, 2, 3]
    assert blow("", "--resume", "--no-validate").status == 0
    assert iterations(finished.work_dir) == [1, 2, 3, 4, 5, 6, 7, 8]


def test_ctrl_c_ends_with_one_line_and_good_checkpoints(few_cifar10, tmp_path):
    """In a process group of its own, as a shell gives one to each command; the workers hear it as well."""
    settings = (
        f"train_dataloader.dataset.data_root={few_cifar10}",
        "train_dataloader.num_workers=2",
        "custom_hooks.0.at=4",
        "custom_hooks.0.what=interrupt",
    )
    command = [sys.executable, "tools/train.py", CONFIG, "--work-dir", tmp_path, "--cfg-options", *settings]
    finished = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(CONFIG.parent), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        # A test that was started in the background of a script inherits that Ctrl-C is ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        timeout=300,
    )
    assert finished.returncode == 130
    said = "train.py: interrupted; --resume continues from the newest checkpoint in the work dir"
    assert last_line(finished.stdout) == said, finished.stdout[-3000:]
    assert iterations(tmp_path) == [1, 2, 3]


def test_a_full_disk_leaves_the_last_checkpoints_whole_and_a_resume_finishes(blow, mounted):
    disk = mounted("size=5m")
    finished = blow(folder=disk)
    assert finished.status == 1
    assert last_line(finished.output).startswith("train.py: the disk is full (No space left on device")
    written = iterations(disk)
    assert 1 <= len(written) < 8 and written == list(range(1, len(written) + 1))
    assert hidden(disk) == []
    assert (disk / "last_checkpoint").read_text() == f"{disk}/iter_{written[-1]}.pth"
    subprocess.run(["mount", "-o", "remount,size=50m", disk], check=True)
    assert blow("", "--resume", folder=disk).status == 0
    assert iterations(disk) == list(range(1, 9))


def test_a_work_dir_that_cannot_be_written_to_is_said_at_once(blow, mounted):
    disk = mounted("ro")
    finished = blow("", "--work-dir", disk / "run")
    assert finished.status == 1
    assert last_line(finished.output).startswith(f"train.py: the system refuses access to {disk}/run (Read-only file ")
    assert "so that the work dir can be written to" in last_line(finished.output)
    assert "Epoch(train)" not in finished.output
