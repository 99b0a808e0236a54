"""What a run passes to its programs, and what its result depends on."""

import json
import os
import sys
from dataclasses import dataclass, field

import pytest
import torch
from mmengine.config import Config

from smix_mm.study import programs
from smix_mm.study import worker as worker_module
from smix_mm.study.config import Study, load_study
from smix_mm.study.run import plan_study, read_marker, run_state
from smix_mm.study.worker import Worker
from smix_mm.utils.config import read_config
from smix_mm.utils.errors import StepError
from smix_mm.utils.files import content_hash, write_json

WEIGHTS = {"state_dict": {"backbone.conv1.weight": torch.ones(4, 3, 3, 3)}}
STUDY = """
arms = dict(
    plain="pretrain.py",
    changed=dict(
        config="pretrain.py",
        cfg_options={"model.backbone.depth": 18, "optim_wrapper": dict(lr=0.5, clip=[float("-inf"), float("nan")])},
    ),
)
detectors = dict(voc=dict(config="detector.py", cfg_options={"train_cfg.max_epochs": 2}))
"""


@dataclass(frozen=True)
class Recording(Worker):
    """Records the arguments of the programs and writes the files that they would leave."""

    calls: list = field(default_factory=list)

    def _run(self, folder, program, on_line, *arguments):
        self.calls.append((program, [*map(str, arguments)]))
        work_dir = folder / program
        work_dir.mkdir()
        if program == "test":
            (work_dir / "detections.npz").write_bytes(b"predictions")
            write_json(work_dir / "metrics.json", {"voc/mAP_11point": 0.5})
            return
        torch.save(WEIGHTS, work_dir / "last.pth")
        (work_dir / "last_checkpoint").write_text(str(work_dir / "last.pth"))
        write_json(work_dir / "load_proof.json", dict(backbone_hash="x"))


@pytest.fixture
def worker(tmp_path) -> Recording:
    (tmp_path / "pretrain.py").write_text("model = dict(backbone=dict(depth=50))\n")
    (tmp_path / "detector.py").write_text("model = dict()\ncustom_hooks = [dict(type='LoadProofHook')]\n")
    (tmp_path / "study.py").write_text(STUDY)
    return Recording(load_study(tmp_path / "study.py"), tmp_path / "work", {}, {"the data": "x"})


def execute(worker: Recording) -> list[str]:
    lines: list[str] = []
    for run in plan_study(worker.study):
        worker.execute(run, lines.append, print)
    return lines


def test_programs_read_a_config_with_cfg_options_from_a_file_and_the_settings_of_the_study_come_after_them(worker):
    execute(worker)
    programs = [program for program, _ in worker.calls]
    assert programs == ["train", "train", "test"] * 2
    options = [arguments[arguments.index("--cfg-options") + 1 :] for _, arguments in worker.calls]
    assert options[0] == ["randomness.seed=0"]
    assert options[3] == ["randomness.seed=0"] and options[5][0] == "test_evaluator._delete_=True"
    assert worker.calls[0][1][0].endswith("pretrain.py")
    read = [Config.fromfile(arguments[0]) for _, arguments in worker.calls[3:]]
    assert (read[0].model.backbone.depth, read[0].optim_wrapper.lr) == (18, 0.5)
    assert read[0].pretty_text == worker.study.arms["changed"].text and str(read[0].optim_wrapper.clip) == "[-inf, nan]"
    assert read[1].train_cfg.max_epochs == read[2].train_cfg.max_epochs == 2


def test_cfg_options_are_in_the_provenance_and_in_the_inputs_of_a_run(worker, tmp_path):
    execute(worker)
    plain, changed = (worker.folder / f"{arm}/seed0/pretraining" for arm in ("plain", "changed"))
    texts = [json.loads((folder / "provenance.json").read_text()) for folder in (plain, changed)]
    assert "cfg_options" not in texts[0]
    options = texts[1]["cfg_options"]
    assert (options["model.backbone.depth"], options["optim_wrapper.lr"]) == (18, 0.5)
    assert "depth=18" in texts[1]["config"] and "depth=50" in texts[0]["config"]
    # A config that is a plain path has the hash of its text alone.
    text = read_config(tmp_path / "pretrain.py").pretty_text
    assert read_marker(plain)["inputs"]["the pretraining's config"] == content_hash(text)


def test_a_run_is_done_again_when_its_cfg_options_change(worker, tmp_path):
    execute(worker)
    worker.calls.clear()
    execute(worker)
    assert worker.calls == []
    (tmp_path / "study.py").write_text(STUDY.replace("0.5", "0.25"))
    again = Recording(load_study(tmp_path / "study.py"), worker.folder, {}, worker.common)
    lines = execute(again)
    # The same backbone comes out, so the fine-tuning is not done again.
    assert [program for program, _ in again.calls] == ["train"]
    (line,) = [line for line in lines if "done again" in line]
    said = "changed/seed0/pretraining: done again, because of a change in: the pretraining's config; its files are kept"
    assert line.startswith(f"{said} in pretraining.stale-")
    name = line.rpartition(" ")[2]
    assert (worker.folder / "changed/seed0" / name / "backbone.pth").is_file()


def test_what_publishes_the_backbone_is_part_of_the_code_of_a_pretraining_alone(worker):
    execute(worker)
    assert "transfer/backbone.py" in read_marker(worker.folder / "plain/seed0/pretraining")["code"]
    assert read_marker(worker.folder / "plain/seed0/voc/seed0")["code"] == {}, "the programs of this test record none"


def test_a_training_that_is_finished_is_not_repeated_when_its_run_was_interrupted(worker, monkeypatch):
    monkeypatch.setattr(worker_module, "learning_curve", lambda folder: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        execute(worker)
    monkeypatch.undo()
    execute(worker)
    assert [program for program, _ in worker.calls] == ["train", "train", "test"] * 2


def test_a_file_system_without_hard_links_gets_copies(worker, monkeypatch):
    def refuse(*names):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    execute(worker)
    assert {run_state(run, worker.folder, check_content=True).state for run in plan_study(worker.study)} == {"finished"}


def test_the_last_words_of_a_failed_run_are_in_its_log_whatever_failed(worker, tmp_path):
    (tmp_path / "none.pth").write_bytes(b"no checkpoint")
    study = Study("A study", {"none": str(tmp_path / "none.pth")}, worker.study.detectors)
    broken = Worker(study, worker.folder)
    pretraining, finetuning = plan_study(study)
    with pytest.raises(StepError, match="none.pth"):
        broken.execute(pretraining, print, print)
    last = (worker.folder / "none/given/pretraining/run.log").read_text().splitlines()
    assert last[0].startswith("none/given/pretraining failed: ") and "none.pth" in last[0]
    assert run_state(finetuning, worker.folder).state == "blocked by none/given/pretraining"
    with pytest.raises(StepError, match="has no backbone to start from, because none/given/pretraining is not"):
        broken.execute(finetuning, print, print)
    assert run_state(finetuning, worker.folder).state == "blocked by none/given/pretraining"


def test_a_run_on_several_nodes_starts_its_programs_on_all_of_them(worker, monkeypatch, tmp_path):
    """srun is replaced by a program that starts the command twice; both processes find each other."""
    (tmp_path / "srun").write_text(
        f"#!{sys.executable}\nimport subprocess, sys\nassert sys.argv[1:4] == "
        "['--nodes=2', '--ntasks=2', '--ntasks-per-node=1']\n"
        "sys.exit(max(one.wait() for one in [subprocess.Popen(sys.argv[4:]) for _ in range(2)]))\n"
    )
    (tmp_path / "srun").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    for name, value in dict(SLURM_JOB_ID="4711", SLURMD_NODENAME="localhost").items():
        monkeypatch.setenv(name, value)
    calls = []
    monkeypatch.setattr(worker_module, "run_program", lambda module, words, **more: calls.append((words, more)))
    several = Worker(worker.study, worker.folder, processes=1, nodes=2)
    several._run(tmp_path / "run", "train", print, "config.py")
    (words, more), lines = calls[0], []
    assert words == ["config.py", "--launcher", "pytorch"]
    # In one write, since both processes share the pipe.
    line = "f\"rank {os.environ['RANK']} of {os.environ['WORLD_SIZE']}\\n\""
    (tmp_path / "a_program.py").write_text(f"import os\nos.write(1, {line}.encode())\n")
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}")
    programs.run_program("a_program", words, **{**more, "on_line": lines.append})
    assert {line.strip() for line in lines if line.startswith("rank")} == {"rank 0 of 2", "rank 1 of 2"}
