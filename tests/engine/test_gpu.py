"""Trainings on a GPU by the command that a user types: exact resume, memory used up, and nccl."""

import math
import os
import re
import signal
import socket
from pathlib import Path

import pytest
import torch

HERE = Path(__file__).parent


@pytest.fixture
def run_on(run_tool):
    """A function that runs a tool with a GPU in sight, or none, and returns what it printed and its status."""

    def run(device, *command, **environment):
        gpus = os.environ.get("CUDA_VISIBLE_DEVICES", "0") if device == "cuda" else ""
        path = os.pathsep.join(filter(None, (str(HERE.parents[1]), str(HERE), os.environ.get("PYTHONPATH"))))
        environment.update(PYTHONPATH=path, CUDA_VISIBLE_DEVICES=gpus, CUBLAS_WORKSPACE_CONFIG=":4096:8")
        return run_tool(*command, check=False, timeout=180, **environment)

    return run


@pytest.mark.parametrize(
    "device, arguments",
    [
        pytest.param("cpu", [], marks=pytest.mark.long),
        pytest.param("cuda", [], marks=pytest.mark.gpu),
        pytest.param("cuda", ["--amp"], marks=pytest.mark.gpu),
    ],
    ids=["cpu", "gpu", "gpu-amp"],
)
def test_killed_and_resumed_with_deterministic_algorithms_it_ends_with_the_same_weights(
    device, arguments, made_up_pretraining, run_on, tmp_path
):
    def train(name, *options, at=0):
        return run_on(
            device, "tools/train.py", made_up_pretraining, "--work-dir", tmp_path / name, *arguments, *options,
            "--cfg-options", "randomness.deterministic=True", f"custom_hooks.0.at={at}",
        )  # fmt: skip

    undisturbed, killed = train("undisturbed"), train("killed", at=3)
    assert undisturbed.returncode == 0, undisturbed.stdout[-4000:]
    assert killed.returncode == -signal.SIGKILL, killed.stdout[-4000:]
    resumed = train("killed", "--resume")
    assert "Resumed exactly after iteration 3" in resumed.stdout, resumed.stdout[-4000:]
    one, other = (
        torch.load(tmp_path / name / "iter_8.pth", map_location="cpu", weights_only=False)
        for name in ("undisturbed", "killed")
    )
    assert list(one["state_dict"]) == list(other["state_dict"])
    differing = [
        name for name, tensor in one["state_dict"].items() if not torch.equal(tensor, other["state_dict"][name])
    ]
    assert differing == []
    for number, state in one["optimizer"]["state"].items():
        assert torch.equal(state["momentum_buffer"], other["optimizer"]["state"][number]["momentum_buffer"])
    assert bool(one["smix_resume"]["ranks"][0]["random"]["cuda"]) == (device == "cuda")
    assert one["optimizer"].get("loss_scaler") == other["optimizer"].get("loss_scaler")


@pytest.mark.gpu
def test_memory_used_up_ends_in_one_sentence_and_the_run_can_be_resumed(made_up_pretraining, run_on, tmp_path):
    def train(*options, at):
        config = tmp_path / "filling.py"
        hook = dict(type="FillMemoryHook", at=at)
        config.write_text(f'_base_ = "{made_up_pretraining}"\ncustom_hooks = [{hook!r}]\n')
        return run_on("cuda", "tools/train.py", config, "--work-dir", tmp_path / "run", *options)

    failed = train(at=3)
    last = failed.stdout.strip().splitlines()[-1]
    assert failed.returncode == 1, failed.stdout[-4000:]
    assert re.match(r"train\.py: the GPU ran out of memory \([\d.]+ \w+ more were requested\); use a smaller", last)
    assert "Traceback" not in failed.stdout
    resumed = train("--resume", at=0)
    assert resumed.returncode == 0, resumed.stdout[-4000:]
    assert "Resumed exactly after iteration 2" in resumed.stdout


@pytest.mark.parametrize(
    "device, backend",
    [
        pytest.param("cpu", "gloo", marks=pytest.mark.long),
        pytest.param("cuda", "nccl", marks=pytest.mark.gpu),
    ],
)
def test_one_process_of_a_process_group_trains(device, backend, made_up_pretraining, run_on, losses, tmp_path):
    config = tmp_path / "one.py"
    config.write_text(f'_base_ = "{made_up_pretraining}"\ncustom_hooks = [dict(type="BackendHook")]\n')
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    run = run_on(device, "tools/dist_train.sh", config, 1, "--work-dir", tmp_path / "run", PORT=port)
    assert run.returncode == 0, run.stdout[-4000:]
    assert (tmp_path / "run/backend.txt").read_text() == f"{backend} 1"
    found = losses(run.stdout)
    assert len(found) == 8 and all(map(math.isfinite, found))
    assert "accuracy/top1" in run.stdout
