"""Runs as jobs: executed by submitit's local executor, and the scripts that are submitted to Slurm."""

import os
import stat
import sys
import threading
from pathlib import Path

import pytest
import torch

from smix_mm.study import cluster
from smix_mm.study.cluster import exported_variables, submit_runs, wait_for_jobs
from smix_mm.study.config import Study
from smix_mm.study.run import Run, plan_study, run_state
from smix_mm.study.worker import Worker
from smix_mm.transfer.checkpoint import read_checkpoint
from smix_mm.utils.errors import PackageError, StepError
from smix_mm.utils.lock import hold

SECRET = "a-key-that-no-file-may-hold"


@pytest.fixture
def worker(tmp_path, monkeypatch) -> Worker:
    """A study whose arms are two checkpoints, so that a run only exports a backbone: one valid, one damaged."""
    from torchvision.models import resnet18

    monkeypatch.setenv("SOME_API_KEY", SECRET)
    torch.save(resnet18().state_dict(), tmp_path / "sound.pth")
    (tmp_path / "none.pth").write_bytes(b"no checkpoint")
    arms = {name: str(tmp_path / f"{name}.pth") for name in ("sound", "none")}
    resources = dict(
        partition="gpu", minutes=90, cpus=4, gpus=2, memory_gb=16, setup=["module load cuda"], export=["MINE_*"]
    )
    return Worker(Study("A study", arms, {}, cluster=resources), tmp_path / "work", {"PYTHONUNBUFFERED": "1"})


def test_jobs_on_this_machine_write_the_same_files_as_local_runs(worker, tmp_path):
    plain = Worker(Study("A study", worker.study.arms, {}), worker.folder, worker.environment)
    runs, lines = plan_study(plain.study), []
    failures = wait_for_jobs(submit_runs(runs, plain, lines.append, "local"), runs, plain.folder, lines.append)
    assert list(failures) == ["none/given/pretraining"] and "none.pth" in failures["none/given/pretraining"]
    assert [run_state(run, plain.folder, check_content=True).state for run in runs] == ["finished", "failed"]
    assert read_checkpoint(plain.folder / "sound/given/pretraining/backbone.pth")["meta"]["hash"]
    assert "sound/given/pretraining: finished" in lines
    assert list((plain.folder / "jobs").glob("*.pkl"))
    assert not [file for file in (plain.folder / "jobs").iterdir() if SECRET.encode() in file.read_bytes()]


SBATCH = """#!/bin/sh
# Replaces Slurm's: copies the script, prints a job number and puts it into the queue.
count=$(ls "$KEPT" | grep -c sh)
cp "$1" "$KEPT/$count.sh"
echo $((100 + count)) >> "$KEPT/queue"
echo "Submitted batch job $((100 + count))"
"""
SQUEUE = '#!/bin/sh\ntest -f "$KEPT/queue" || { echo "slurmctld is away" >&2; exit 1; }\ncat "$KEPT/queue"\n'


@pytest.fixture
def slurm(tmp_path, monkeypatch) -> Path:
    """Programs in place of Slurm's; the folder with the scripts that were submitted and the queue."""
    programs, kept = tmp_path / "bin", tmp_path / "kept"
    programs.mkdir()
    kept.mkdir()
    (kept / "queue").touch()
    for name, text in dict(sbatch=SBATCH, squeue=SQUEUE, srun="#!/bin/sh\n").items():
        (programs / name).write_text(text)
        (programs / name).chmod(stat.S_IRWXU)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.setenv("KEPT", str(kept))
    return kept


RUNS = [Run("sound", None), Run("sound", None, "voc", 0), Run("none", None)]


def submit(worker: Worker, runs=RUNS) -> tuple[dict, list[str]]:
    lines: list[str] = []
    return submit_runs(runs, worker, lines.append), lines


def test_the_slurm_script_requests_the_resources_of_the_study(worker, slurm):
    jobs, _ = submit(worker)
    assert list(jobs.values()) == ["100", "101", "102"]
    scripts = [(slurm / f"{number}.sh").read_text() for number in range(3)]
    for line in (
        "--job-name=sound-given-pretraining", "--partition=gpu", "--time=90", "--cpus-per-task=4",
        "--gpus-per-node=2", "--mem=16GB", "--nodes=1",
    ):  # fmt: skip
        assert f"#SBATCH {line}" in scripts[0]
    assert "unset SLURM_EXPORT_ENV\nmodule load cuda\n" in scripts[0] and "dependency" not in scripts[0]
    # afterany: a job is never cancelled for the end of another.
    assert "#SBATCH --dependency=afterany:100" in scripts[1] and "kill-on-invalid-dep" not in scripts[1]
    assert "dependency" not in scripts[2] and "srun --unbuffered" in scripts[0]


def test_several_nodes_are_requested_and_the_run_is_executed_on_one_of_them(worker, slurm):
    worker.study.cluster["nodes"] = 3
    submit(Worker(worker.study, worker.folder, nodes=3), RUNS[:1])
    script = (slurm / "0.sh").read_text()
    assert "#SBATCH --nodes=3" in script and "srun" not in script.partition("# command")[2]


def test_only_named_variables_travel_and_no_value_is_written(worker, slurm, monkeypatch):
    values = dict(SMIX_DEMO_DATA="x", OMP_NUM_THREADS="1", MINE_TOO="x", CUDA_VISIBLE_DEVICES="3", PYTHONUNBUFFERED="1")
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    submit(worker)
    (line,) = [line for line in (slurm / "0.sh").read_text().splitlines() if "--export=" in line]
    names = set(line.partition("--export=")[2].split(","))
    assert {"PATH", "HOME", "SMIX_DEMO_DATA", "OMP_NUM_THREADS", "MINE_TOO", "PYTHONUNBUFFERED"} <= names
    assert not {"SOME_API_KEY", "CUDA_VISIBLE_DEVICES", "KEPT"} & names
    assert "MINE_TOO" not in exported_variables(Worker(Study("A study", {}, {}), worker.folder))
    files = [*slurm.iterdir(), *(worker.folder / "jobs").iterdir()]
    assert len(files) > 6 and not [file for file in files if SECRET.encode() in file.read_bytes()]


def test_started_again_only_what_is_neither_finished_nor_queued_is_submitted(worker, slurm, monkeypatch):
    runs = [*plan_study(worker.study), Run("none", None, "voc", 0)]
    jobs, _ = submit(worker, runs)
    assert list(jobs.values()) == ["100", "101", "102"]

    def interrupt(seconds):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(cluster.time, "sleep", interrupt)
        wait_for_jobs(jobs, runs, worker.folder, print)
    # One job has finished, one is queued, and the last has been cancelled.
    worker.execute(runs[0], print, print)
    (slurm / "queue").write_text("101\n7\n")
    again, lines = submit(worker, runs)
    assert again == {"none/given/pretraining": "101", "none/given/voc/seed0": "103"}
    assert "sound/given/pretraining: finished before" in lines
    assert "none/given/pretraining: is job 101 already" in lines
    assert "#SBATCH --dependency=afterany:101" in (slurm / "3.sh").read_text()
    assert submit(worker, runs)[0] == again, "and again"
    (slurm / "queue").write_text("7\n")
    failures = wait_for_jobs(again, runs, worker.folder, print)
    assert list(failures) == ["none/given/pretraining", "none/given/voc/seed0"]


def test_without_an_answer_of_the_queue_nothing_is_submitted(worker, slurm):
    submit(worker)
    (slurm / "queue").unlink()
    with pytest.raises(StepError, match=r"squeue does not report .*slurmctld is away.* is unknown and nothing was"):
        submit(worker)
    assert len(list(slurm.glob("*.sh"))) == 3


def test_a_copy_of_a_running_job_waits_for_it_and_succeeds(worker, monkeypatch, capsys):
    run = RUNS[0]
    with hold(run.lock(worker.folder), "busy"):
        copy = threading.Thread(target=cluster._execute, args=(worker, run))
        copy.start()
        copy.join(0.5)
        assert copy.is_alive() and not (worker.folder / run.name).exists()
    copy.join(60)
    assert run_state(run, worker.folder).state == "finished"
    cluster._execute(worker, run)
    assert capsys.readouterr().out.endswith("sound/given/pretraining: finished before\n")


def test_without_slurm_submitting_is_an_error(worker, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(StepError, match="no job can be submitted .*use a machine with Slurm's sbatch"):
        submit(worker)
    monkeypatch.setitem(sys.modules, "submitit", None)
    with pytest.raises(PackageError, match="submitit is not installed"):
        submit(worker)
