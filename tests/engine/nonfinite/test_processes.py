"""One process of two has a bad batch: both know it, and neither waits for the other."""

import re
import socket
from pathlib import Path

import pytest
import torch

from smix_mm.engine.nonfinite.hook import SKIPPED
from smix_mm.engine.nonfinite.replay import replay_batch
from smix_mm.transfer.checkpoint import read_checkpoint

CONFIG = Path(__file__).parents[1] / "breaking_config.py"


@pytest.fixture
def two(run_tool, few_cifar10, tmp_path):
    """Train the config, 4 iterations an epoch, with two processes started by torchrun; gives status and output."""

    def start(bad, *arguments, **options):
        settings = {
            "train_dataloader.dataset.data_root": few_cifar10,
            "train_dataloader.dataset.pipeline.1.file": bad,
            "train_dataloader.batch_size": 4,
            **options,
        }
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        options = (f"{name}={value}" for name, value in settings.items())
        command = ("tools/dist_train.sh", CONFIG, 2, "--work-dir", tmp_path, *arguments, "--cfg-options", *options)
        return run_tool("bash", *command, check=False, PYTHONPATH=CONFIG.parent, PORT=port, OMP_NUM_THREADS=1)

    return start


def equal(one, other) -> bool:
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(equal(one[key], other[key]) for key in one)
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(equal, one, other))
    return torch.equal(one, other) if isinstance(one, torch.Tensor) else one == other


@pytest.mark.long
def test_both_stop_with_the_state_before_it_and_each_ones_batch(two, tmp_path, monkeypatch):
    bad = "airplane/3030.jpg"
    # Checkpoints of the ordinary kind get other names, so that the stop's own can be compared with one.
    finished = two(bad, **{"default_hooks.checkpoint.filename_tmpl": "after_{}.pth"})
    assert finished.returncode == 1, finished.stdout[-3000:]
    said = re.findall(r"^train.py: (iteration (\d) .*)$", finished.stdout, re.MULTILINE)
    assert len(said) == 2 and len(set(said)) == 1
    (message, number), rank = said[0], re.search(r"loss is nan on rank (\d) for", said[0][0]).group(1)
    assert int(number) > 1 and "loss_cls is nan" in message and f"{bad})" in message

    names = ("state_dict", "optimizer", "param_schedulers", "smix_resume")
    saved, ordinary = (read_checkpoint(tmp_path / f"{kind}_{int(number) - 1}.pth") for kind in ("iter", "after"))
    assert len(saved["smix_resume"]["ranks"]) == 2
    for content in (saved, ordinary):  # a stop stands after the validation between two iterations
        content["smix_resume"]["progress"].pop("validated")
    assert equal([saved[name] for name in names], [ordinary[name] for name in names])

    monkeypatch.syspath_prepend(str(CONFIG.parent))
    for each in "01":
        replay = replay_batch(tmp_path / "nonfinite" / f"iter_{number}_rank{each}.pt")
        assert replay.same and len(replay.files) == 4
        assert bool(replay.findings) == (each == rank) == any(file.endswith(bad) for file in replay.files)


@pytest.mark.long
def test_both_skip_and_stay_equal(two, tmp_path):
    digest = {"custom_hooks.0.at": 8, "custom_hooks.0.what": "digest"}
    finished = two("airplane/3030.jpg", "--on-nonfinite", "skip", **digest)
    assert finished.returncode == 0, finished.stdout[-3000:]
    end = read_checkpoint(tmp_path / "iter_8.pth")
    assert len(end["message_hub"]["runtime_info"][SKIPPED]) == 2
    assert all(torch.isfinite(value).all() for value in end["state_dict"].values())
    assert (tmp_path / "rank0.txt").read_text() == (tmp_path / "rank1.txt").read_text()
    assert re.search(r"Iteration \d is skipped: loss_cls is nan, loss is nan on rank [01] for", finished.stdout)


@pytest.mark.long
def test_both_find_that_the_weights_are_the_cause(two, tmp_path):
    finished = two("", **{"custom_hooks.0.at": 3, "custom_hooks.0.what": "fast"})
    assert finished.returncode == 1, finished.stdout[-3000:]
    said = re.findall(r"^train.py: (iteration 4 .*)$", finished.stdout, re.MULTILINE)
    assert len(said) == 2 and len(set(said)) == 1 and ".jpg" not in said[0]
    assert f"--resume {tmp_path}/iter_2.pth --config-schedule" in said[0]


@pytest.mark.long
def test_both_stop_at_a_contradiction(two, tmp_path):
    finished = two("", **{"data_preprocessor.num_classes": 7})
    assert finished.stdout.count("\ncontradiction: data_preprocessor.num_classes: is 7, but") == 2
    assert "exitcode  : 2" in finished.stdout and list(tmp_path.iterdir()) == []
