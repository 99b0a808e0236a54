"""Runs as jobs: through submitit's local executor for real, and the script that Slurm would be given."""

import os
import stat
from pathlib import Path

import pytest
import torch

from smix_mm.study.cluster import submit_runs, wait_for_jobs
from smix_mm.study.config import Arm, Study
from smix_mm.study.plan import Run, look_at, plan_study
from smix_mm.study.progress import PlainView
from smix_mm.study.runs import Worker
from smix_mm.transfer.checkpoint import read_checkpoint
from smix_mm.utils.errors import StepError


@pytest.fixture
def worker(tmp_path) -> Worker:
    """A study whose arms are two checkpoints, so that a run is a publishing: one sound, one that is none."""
    from torchvision.models import resnet18

    torch.save(resnet18().state_dict(), tmp_path / "sound.pth")
    (tmp_path / "none.pth").write_bytes(b"no checkpoint")
    arms = {name: Arm(name, checkpoint=str(tmp_path / f"{name}.pth")) for name in ("sound", "none")}
    cluster = dict(partition="gpu", minutes=90, cpus=4, gpus=2, memory_gb=16, setup=["module load cuda"])
    return Worker(
        Study("A study", arms, {}, cluster=cluster), tmp_path / "work", dict(os.environ), {"the package": "x"}
    )


def test_jobs_on_this_machine_leave_what_runs_here_would(worker, tmp_path):
    plain = Worker(Study("A study", worker.study.arms, {}), worker.folder, worker.environment, worker.common)
    runs, said = plan_study(plain.study), []
    failures = wait_for_jobs(submit_runs(runs, plain, "local"), runs, plain.folder, PlainView(said.append))
    assert list(failures) == ["none/given/pretraining"] and "none.pth" in failures["none/given/pretraining"]
    assert [look_at(run, plain.folder, content=True).state for run in runs] == ["finished", "failed"]
    assert read_checkpoint(plain.folder / "sound/given/pretraining/backbone.pth")["meta"]["hash"]
    assert "sound/given/pretraining: finished" in said


SBATCH = """#!/bin/sh
# Stands in for Slurm's: keeps the script and hands out numbers.
count=$(ls "$KEPT" | wc -l)
cp "$1" "$KEPT/$count.sh"
echo "Submitted batch job $((100 + count))"
"""


def test_the_script_for_slurm_asks_for_what_the_study_says(worker, tmp_path, monkeypatch):
    programs, kept = tmp_path / "bin", tmp_path / "kept"
    programs.mkdir()
    kept.mkdir()
    for name, text in dict(sbatch=SBATCH, srun="#!/bin/sh\n").items():
        (programs / name).write_text(text)
        (programs / name).chmod(stat.S_IRWXU)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.setenv("KEPT", str(kept))
    first = Run("sound/given/pretraining", "sound", None)
    second = Run("sound/given/voc/seed0", "sound", None, "voc", 0, first.name)
    third = Run("none/given/pretraining", "none", None)
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


def test_without_slurm_a_sentence_says_so(worker, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(StepError, match="no job can be submitted here .*wanted a machine with Slurm's sbatch"):
        submit_runs(plan_study(worker.study), worker)
