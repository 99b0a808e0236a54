"""Runs as jobs: executed by submitit's local executor, and the script that is submitted to Slurm."""

import os
import stat
from pathlib import Path

import pytest
import torch

from smix_mm.study.cluster import submit_runs, wait_for_jobs
from smix_mm.study.config import Arm, Study
from smix_mm.study.plan import plan_study, run_state
from smix_mm.study.progress import PlainView
from smix_mm.study.run import Run
from smix_mm.study.worker import Worker
from smix_mm.transfer.checkpoint import read_checkpoint
from smix_mm.utils.errors import StepError


@pytest.fixture
def worker(tmp_path) -> Worker:
    """A study whose arms are two checkpoints, so that a run only exports a backbone: one valid, one damaged."""
    from torchvision.models import resnet18

    torch.save(resnet18().state_dict(), tmp_path / "sound.pth")
    (tmp_path / "none.pth").write_bytes(b"no checkpoint")
    arms = {name: Arm(name, checkpoint=str(tmp_path / f"{name}.pth")) for name in ("sound", "none")}
    cluster = dict(partition="gpu", minutes=90, cpus=4, gpus=2, memory_gb=16, setup=["module load cuda"])
    return Worker(
        Study("A study", arms, {}, cluster=cluster), tmp_path / "work", dict(os.environ), {"the package": "x"}
    )


def test_jobs_on_this_machine_write_the_same_files_as_local_runs(worker, tmp_path):
    plain = Worker(Study("A study", worker.study.arms, {}), worker.folder, worker.environment, worker.common)
    runs, lines = plan_study(plain.study), []
    failures = wait_for_jobs(submit_runs(runs, plain, "local"), runs, plain.folder, PlainView(lines.append))
    assert list(failures) == ["none/given/pretraining"] and "none.pth" in failures["none/given/pretraining"]
    assert [run_state(run, plain.folder, check_content=True).state for run in runs] == ["finished", "failed"]
    assert read_checkpoint(plain.folder / "sound/given/pretraining/backbone.pth")["meta"]["hash"]
    assert "sound/given/pretraining: finished" in lines


SBATCH = """#!/bin/sh
# Replaces Slurm's: copies the script and prints a job number.
count=$(ls "$KEPT" | wc -l)
cp "$1" "$KEPT/$count.sh"
echo "Submitted batch job $((100 + count))"
"""


def test_the_slurm_script_requests_the_resources_of_the_study(worker, tmp_path, monkeypatch):
    programs, kept = tmp_path / "bin", tmp_path / "kept"
    programs.mkdir()
    kept.mkdir()
    for name, text in dict(sbatch=SBATCH, srun="#!/bin/sh\n").items():
        (programs / name).write_text(text)
        (programs / name).chmod(stat.S_IRWXU)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.setenv("KEPT", str(kept))
    first = Run("sound", None)
    second = Run("sound", None, "voc", 0)
    third = Run("none", None)
    jobs = submit_runs([first, second, third], worker)
    assert [job.job_id for job in jobs.values()] == ["100", "101", "102"]
    scripts = [Path(kept / f"{number}.sh").read_text() for number in range(3)]
    for line in (
        "--job-name=sound-given-pretraining", "--partition=gpu", "--time=90", "--cpus-per-task=4",
        "--gpus-per-node=2", "--mem=16GB", "--nodes=1",
    ):  # fmt: skip
        assert f"#SBATCH {line}" in scripts[0]
    assert "module load cuda" in scripts[0] and "dependency" not in scripts[0]
    assert "#SBATCH --dependency=afterok:100" in scripts[1] and "--kill-on-invalid-dep=yes" in scripts[1]
    assert "dependency" not in scripts[2]


def test_without_slurm_submitting_is_an_error(worker, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(StepError, match="no job can be submitted .*use a machine with Slurm's sbatch"):
        submit_runs(plan_study(worker.study), worker)
