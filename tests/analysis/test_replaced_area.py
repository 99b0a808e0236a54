"""Counting the pixels that a batch augmentation replaces, and those of a study's arms on real CIFAR-10 images."""

import json
import math
import runpy
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from smix_mm import saliency_mix
from smix_mm.analysis.replaced_area import count_replaced, format_areas, measure_area, summarize_areas
from smix_mm.mixing import MixOptions, draw_mix, plan_mix
from smix_mm.saliency import FineGrainedSaliency
from smix_mm.utils.config import read_config
from smix_mm.utils.errors import UsageError

ROOT = Path(__file__).parents[2]
SIDE = 32


def images(samples: int = 12, colours: int = 3) -> Tensor:
    """Few colours, so that most pixels that change hands look as before."""
    generator = torch.Generator().manual_seed(0)
    return torch.randint(1, colours + 1, (samples, 3, SIDE, SIDE), generator=generator).float()


def make_images(given: Tensor) -> Tensor:
    return (given.float() * 60).to(torch.uint8)


def mixing(seed: int, **options):
    def augment(inputs: Tensor, scores: Tensor) -> tuple[Tensor, Tensor]:
        generator = torch.Generator().manual_seed(seed)
        return saliency_mix(inputs, scores, uint8_images=make_images(inputs), generator=generator, **options)

    return augment


@pytest.mark.parametrize("source", ["salient", "random"])
@pytest.mark.parametrize("border", ["shift", "clip"])
@pytest.mark.parametrize("box_per", ["sample", "batch"])
def test_the_count_is_that_of_the_mix_plan(source, border, box_per):
    given = images()
    options = MixOptions(source=source, border=border, box_per=box_per)
    for seed in range(5):
        replaced, weight = count_replaced(mixing(seed, source=source, border=border, box_per=box_per), given)
        draw = draw_mix(len(given), 1.0, torch.Generator().manual_seed(seed))
        plan = plan_mix(make_images(given), draw, options, FineGrainedSaliency())
        assert replaced.tolist() == plan.pasted.tolist()
        assert weight.tolist() == pytest.approx((plan.pasted / SIDE**2).tolist(), abs=1e-15)


def test_equal_pixels_are_counted_and_unchanged_images_have_none():
    def paste(inputs: Tensor, scores: Tensor) -> tuple[Tensor, Tensor]:
        inputs[0, :, 2:5, 7:11] = inputs[2, :, 2:5, 7:11].clone()
        return inputs, scores

    given = torch.ones(3, 3, SIDE, SIDE)
    replaced, weight = count_replaced(paste, given)
    assert replaced.tolist() == [12, 0, 0] and weight.tolist() == [0, 0, 0]
    assert torch.equal(given, torch.ones(3, 3, SIDE, SIDE)), "in place it is a copy that changes"


def test_a_hole_is_counted():
    def hole(inputs: Tensor, scores: Tensor) -> tuple[Tensor, Tensor]:
        inputs[:, :, :4, :4] = 0
        return inputs, scores

    assert count_replaced(hole, images(4))[0].tolist() == [16] * 4


def test_the_marks_vanish_in_float32():
    seen = []

    def look(inputs: Tensor, scores: Tensor) -> tuple[Tensor, Tensor]:
        seen.append(inputs.float())
        return inputs, scores

    given = torch.randn(200, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    count_replaced(look, given)
    assert torch.equal(seen[0], given)


def test_images_that_cannot_be_marked_are_an_error():
    with pytest.raises(ValueError, match="no pixel is 0 in all channels"):
        count_replaced(mixing(0), torch.zeros(2, 3, 8, 8))
    with pytest.raises(TypeError, match="images should be float32, got torch.float64"):
        count_replaced(mixing(0), images().double())


def test_the_summary_is_over_images_and_its_error_over_batches():
    batches = [[0, 10, 20, 30], [5, 5, 15, 100], [50, 60, 70]]
    counts = [(torch.tensor(batch), torch.tensor(batch, dtype=torch.float64) / 200) for batch in batches]
    every, means = np.concatenate(batches), [np.mean(batch) for batch in batches]
    found = summarize_areas(counts, pixels=100)
    assert (found["batches"], found["images"]) == (3, 11)
    assert found["area"] == pytest.approx(every.mean() / 100)
    assert found["area_sd"] == pytest.approx(every.std() / 100)
    assert found["area_error"] == pytest.approx(np.std(means, ddof=1) / np.sqrt(3) / 100)
    assert found["weight"] == pytest.approx(every.mean() / 200)
    assert found["weight_sd"] == pytest.approx(every.std() / 200)


def test_one_batch_has_no_error():
    assert math.isnan(summarize_areas([(torch.tensor([3, 4]), torch.zeros(2))], pixels=100)["area_error"])


@pytest.fixture
def write_arms(tmp_path, few_cifar10, monkeypatch):
    """A study of arms on a few images, given the text of each arm's config."""
    monkeypatch.setenv("SMIX_CIFAR10", str(few_cifar10))

    def write(**texts: str) -> Path:
        base = ROOT / "configs/cifar10/fast/resnet18_baseline_cifar10.py"
        for name, text in texts.items():
            (tmp_path / f"{name}.py").write_text(f'_base_ = "{base}"\ntrain_dataloader = dict(batch_size=40)\n{text}\n')
        study = tmp_path / "study.py"
        study.write_text(f"arms = {dict((name, f'{name}.py') for name in texts)}\nmetric = 'accuracy/top1'\n")
        return study

    return write


def batch_augment(kind: str, **options: object) -> str:
    return f"data_preprocessor = dict(batch_augments=dict(augments={dict(type=kind, **options)}, probs=0.25))"


CUTMIX = batch_augment("CutMix", alpha=1.0)
CUTOUT = batch_augment("Cutout", length=64)


def test_each_arm_is_measured_and_one_without_mixing_has_no_area(write_arms):
    found = measure_area(write_arms(baseline="", cutmix=CUTMIX, cutout=CUTOUT), batches=7)
    assert found["baseline"] == dict(probability=0.0)
    settings = read_config(ROOT / "configs/cifar10/fast/resnet18_cutmix_cifar10.py").data_preprocessor.to_dict()
    settings["batch_augments"] = dict(augments=dict(type="CutMix", alpha=1.0), probs=0.25)
    inside = f"data_preprocessor = None\nmodel = dict(data_preprocessor={settings})"
    assert measure_area(write_arms(inside=inside), batches=7)["inside"] == found["cutmix"]
    assert (found["cutmix"]["batches"], found["cutmix"]["images"], found["cutmix"]["probability"]) == (7, 280, 0.25)
    assert 0 < found["cutmix"]["area"] == pytest.approx(found["cutmix"]["weight"], abs=1e-12)
    # A hole twice as large as the image takes at least a quarter of it, and no label.
    assert 0.25 < found["cutout"]["area"] <= 1 and found["cutout"]["weight"] == 0
    table = format_areas(found).splitlines()
    assert table[2] == "| baseline | – | – | – | – | – | 0 |"
    assert table[4].startswith(f"| cutout | {100 * found['cutout']['area']:.2f} |") and table[4].endswith("| 25 |")


def test_the_random_numbers_of_an_arm_depend_on_the_seed_only(write_arms):
    alone = measure_area(write_arms(cutmix=CUTMIX), batches=3)["cutmix"]
    state = np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()
    beside = write_arms(cutout=CUTOUT, cutmix=CUTMIX)
    assert measure_area(beside, batches=3)["cutmix"] == alone
    assert measure_area(beside, batches=3, seed=1)["cutmix"] != alone
    assert (np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()) == state


def test_arms_whose_batches_differ_before_the_mixing_are_an_error(write_arms):
    study = write_arms(cutmix=CUTMIX, wide=f"{CUTMIX}\ndata_preprocessor['padding'] = 2")
    with pytest.raises(UsageError, match="differ in the mixing only, but cutmix and wide differ in their data"):
        measure_area(study, batches=1)
    with pytest.raises(UsageError, match="batches should be at least 1, got 0"):
        measure_area(study, batches=0)


def test_the_tool_prints_the_table_and_an_error_in_one_line(write_arms, tmp_path, monkeypatch, capsys):
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
    assert capsys.readouterr().err.startswith(f"measure_area.py: study {tmp_path}/none.py does not exist")
