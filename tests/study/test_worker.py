"""What a run passes to its programs, and what its result depends on."""

import json
from dataclasses import dataclass, field

import pytest
import torch

from smix_mm.study.config import load_study
from smix_mm.study.plan import plan_study
from smix_mm.study.steps import read_marker
from smix_mm.study.worker import Worker
from smix_mm.utils.config import read_config
from smix_mm.utils.files import content_hash, write_json

WEIGHTS = {"state_dict": {"backbone.conv1.weight": torch.ones(4, 3, 3, 3)}}
STUDY = """
arms = dict(
    plain="pretrain.py",
    changed=dict(config="pretrain.py", cfg_options={"model.backbone.depth": 18, "optim_wrapper": dict(lr=0.5)}),
)
detectors = dict(voc=dict(config="detector.py", cfg_options={"train_cfg.max_epochs": 2}))
"""


@dataclass(frozen=True)
class Recording(Worker):
    """Records the arguments of the programs and writes the files that they would leave."""

    calls: list = field(default_factory=list)

    def _run(self, step, program, on_line, *arguments):
        self.calls.append((program, [*map(str, arguments)]))
        if program == "test":
            write_json(step.output(), {"voc/mAP_11point": 0.5})
            step.output(1).write_bytes(b"predictions")
            return
        torch.save(WEIGHTS, step.folder / "last.pth")
        (step.folder / "last_checkpoint").write_text(str(step.folder / "last.pth"))
        write_json(step.folder / "load_proof.json", dict(backbone_hash="x"))


@pytest.fixture
def worker(tmp_path) -> Recording:
    (tmp_path / "pretrain.py").write_text("model = dict(backbone=dict(depth=50))\n")
    (tmp_path / "detector.py").write_text("model = dict()\ncustom_hooks = [dict(type='LoadProofHook')]\n")
    (tmp_path / "study.py").write_text(STUDY)
    return Recording(load_study(tmp_path / "study.py"), tmp_path / "work", {}, {"the package": "x"})


def execute(worker: Recording) -> list[str]:
    lines: list[str] = []
    for run in plan_study(worker.study):
        worker.execute(run, lines.append, print)
    return lines


def test_cfg_options_reach_every_program_and_the_settings_of_the_study_come_after_them(worker):
    execute(worker)
    programs = [program for program, _ in worker.calls]
    assert programs == ["train", "train", "test"] * 2
    options = [arguments[arguments.index("--cfg-options") + 1 :] for _, arguments in worker.calls]
    assert options[0] == ["randomness.seed=0"]
    assert options[3] == ["model.backbone.depth=18", "optim_wrapper.lr=0.5", "randomness.seed=0"]
    assert options[4][:2] == ["train_cfg.max_epochs=2", "randomness.seed=0"]
    assert options[5][:2] == ["train_cfg.max_epochs=2", "test_evaluator._delete_=True"]
    assert worker.calls[3][1][0].endswith("pretrain.py") and worker.calls[5][1][0].endswith("detector.py")


def test_cfg_options_are_in_the_provenance_and_in_the_inputs_of_a_run(worker, tmp_path):
    execute(worker)
    plain, changed = (worker.folder / f"{arm}/seed0/pretraining" for arm in ("plain", "changed"))
    texts = [json.loads((folder / "provenance.json").read_text()) for folder in (plain, changed)]
    assert "cfg_options" not in texts[0]
    assert texts[1]["cfg_options"] == {"model.backbone.depth": 18, "optim_wrapper.lr": 0.5}
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
    assert "changed/seed0/pretraining: done again, because of a change in: the pretraining's config" in lines
