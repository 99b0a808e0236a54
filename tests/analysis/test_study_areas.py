"""The replaced area of a study's arms, on real CIFAR-10 images."""

import json
import runpy
from pathlib import Path

import numpy as np
import pytest
import torch

from smix_mm.analysis.study_areas import format_areas, measure_area
from smix_mm.utils.errors import UsageError

ROOT = Path(__file__).parents[2]


@pytest.fixture
def write_arms(tmp_path, few_cifar10, monkeypatch):
    """A study of arms on a few images, given the text of each arm's config."""
    monkeypatch.setenv("SMIX_CIFAR10", str(few_cifar10))

    def write(**texts: str) -> Path:
        base = ROOT / "configs/cifar10/fast/resnet18_baseline.py"
        for name, text in texts.items():
            (tmp_path / f"{name}.py").write_text(f'_base_ = "{base}"\ntrain_dataloader = dict(batch_size=40)\n{text}\n')
        study = tmp_path / "study.py"
        study.write_text(f"arms = {dict((name, f'{name}.py') for name in texts)}\nmetric = 'accuracy/top1'\n")
        return study

    return write


def mixing(kind: str, **options: object) -> str:
    return f"data_preprocessor = dict(batch_augments=dict(augments={dict(type=kind, **options)}, probs=0.25))"


CUTMIX = mixing("CutMix", alpha=1.0)
CUTOUT = mixing("Cutout", length=64)


def test_each_arm_is_measured_and_one_without_mixing_has_no_area(write_arms):
    found = measure_area(write_arms(baseline="", cutmix=CUTMIX, cutout=CUTOUT), batches=7)
    assert found["baseline"] == dict(probability=0.0)
    assert (found["cutmix"]["batches"], found["cutmix"]["images"], found["cutmix"]["probability"]) == (7, 280, 0.25)
    assert 0 < found["cutmix"]["area"] == pytest.approx(found["cutmix"]["weight"], abs=1e-12)
    # A hole twice as large as the image takes at least a quarter of it, and no label.
    assert 0.25 < found["cutout"]["area"] <= 1 and found["cutout"]["weight"] == 0
    table = format_areas(found).splitlines()
    assert table[2] == "| baseline | – | – | – | – | – | 0 |"
    assert table[4].startswith(f"| cutout | {100 * found['cutout']['area']:.2f} |") and table[4].endswith("| 25 |")


def test_what_an_arm_draws_depends_on_the_seed_alone(write_arms):
    alone = measure_area(write_arms(cutmix=CUTMIX), batches=3)["cutmix"]
    state = np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()
    beside = write_arms(cutout=CUTOUT, cutmix=CUTMIX)
    assert measure_area(beside, batches=3)["cutmix"] == alone
    assert measure_area(beside, batches=3, seed=1)["cutmix"] != alone
    assert (np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()) == state


def test_arms_whose_batches_differ_before_the_mixing_are_refused(write_arms):
    study = write_arms(cutmix=CUTMIX, wide=f"{CUTMIX}\ndata_preprocessor['padding'] = 2")
    with pytest.raises(UsageError, match="cutmix and wide differ in their data"):
        measure_area(study, batches=1)
    with pytest.raises(UsageError, match="batches is 0"):
        measure_area(study, batches=0)


def test_the_tool_prints_the_table_and_says_in_one_sentence_what_is_missing(write_arms, tmp_path, monkeypatch, capsys):
    def run(*arguments: object) -> object:
        monkeypatch.setattr("sys.argv", ["measure_area.py", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            runpy.run_path(str(ROOT / "tools/measure_area.py"), run_name="__main__")
        return ended.value.code

    study = write_arms(cutmix=CUTMIX)
    assert run(study, "--batches", 2, "--out", tmp_path / "areas.json") == 0
    found = measure_area(study, batches=2)
    assert format_areas(found) in capsys.readouterr().out
    assert json.loads((tmp_path / "areas.json").read_text()) == found
    assert run(tmp_path / "none.py") == 2
    assert capsys.readouterr().err.startswith(f"measure_area.py: study {tmp_path}/none.py is not there")
