"""The benchmark of training steps: every arm with its augmentation, and errors for wrong options."""

import json
from pathlib import Path

import pytest
import torch

pytest.importorskip("mmpretrain")
pytest.importorskip("cv2")

from smix_mm.benchmarks import training as module
from smix_mm.benchmarks.training import ARMS, RIVALS, benchmark_training, format_table
from smix_mm.utils.config import read_config
from smix_mm.utils.errors import UsageError

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / "configs/cifar10/resnet18-imagenet-stem_baseline_cifar10.py"


@pytest.fixture(scope="module")
def rows():
    return benchmark_training(CONFIG, batch=2, size=32, rounds=3)


def test_the_mixing_alone_of_all_arms_is_timed_without_the_model(monkeypatch):
    monkeypatch.setattr("mmengine.model.BaseModel.train_step", None)
    rows = benchmark_training(CONFIG, batch=2, size=32, rounds=1, rivals=True, mixing_only=True)
    assert [row["arm"] for row in rows] == [*ARMS, *RIVALS] and all(row["median_ms"] > 0 for row in rows)


def test_every_arm_is_timed_beside_cutmix(rows):
    assert [row["arm"] for row in rows] == list(ARMS)
    for row in rows:
        first, third = row["quartiles_ms"]
        assert 0 < first <= row["median_ms"] <= third
        assert row["to_cutmix"] > 0
    assert rows[1]["arm"] == "CutMix" and rows[1]["to_cutmix"] == 1


def test_every_arm_mixes_every_batch_with_its_own_augmentation():
    shape = {"batch": 2, "height": 32, "width": 40, "device": "cpu", "amp": False}
    steps = module._Steps(read_config(CONFIG), shape, ARMS + RIVALS)
    seen = {}
    for arm in ARMS + RIVALS:
        wrapper = steps.preprocessors[arm].batch_augments
        seen[arm] = None if wrapper is None else (type(wrapper.augments[0]).__name__, list(wrapper.probs))
    assert seen.pop("no mixing") is None
    assert seen == {arm: (arm.partition(",")[0], [1.0, 0.0]) for arm in ARMS[1:] + RIVALS}
    assert steps.preprocessors[RIVALS[-1]].batch_augments.augments[0].options.label == "saliency"
    mixer = steps.preprocessors["SaliencyMix"].batch_augments.augments[0]
    assert mixer.unnormalize.channel_order == "rgb"
    assert torch.equal(mixer.unnormalize.mean, torch.tensor([125.3, 123.0, 113.9]))


def test_a_step_trains():
    shape = {"batch": 2, "height": 32, "width": 32, "device": "cpu", "amp": False}
    steps = module._Steps(read_config(CONFIG), shape, ARMS + RIVALS)
    for arm in ARMS + RIVALS:
        before = steps.model.head.fc.weight.clone()
        steps.step(arm, steps.batch())
        assert not torch.equal(steps.model.head.fc.weight, before)


def test_arms_take_turns(monkeypatch):
    order = []

    class Steps:
        warm_up = 1
        preprocessors = dict.fromkeys(ARMS)

        def batch(self):
            return {}

        def step(self, arm, batch):
            order.append(arm)

    times = module._take_turns(Steps(), iterations=2, rounds=2)
    assert {arm: len(each) for arm, each in times.items()} == dict.fromkeys(ARMS, 2)
    forwards = [arm for arm in ARMS for _ in "ab"]
    assert order == forwards + forwards[::-1] + forwards


def test_without_a_gpu_its_lines_are_marked_as_not_measured(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    rows = benchmark_training(module.GPU_CONFIG, batch=256, size=224, device="cuda", amp=True)
    assert [(row["arm"], row["median_ms"], row["to_cutmix"]) for row in rows] == [(arm, None, None) for arm in ARMS]
    lines = format_table(rows).splitlines()
    assert lines[0].endswith("| x CutMix |")
    assert sum("not measured" in line for line in lines) == len(ARMS)


def test_an_arm_whose_packages_are_not_installed_is_left_out(monkeypatch, capsys):
    def missing(method):
        raise ImportError("no contrib build")

    monkeypatch.setattr("smix_mm.batch_augments.official.create_opencv_detector", missing)
    rows = {row["arm"]: row for row in benchmark_training(CONFIG, batch=2, size=32, rounds=1)}
    assert list(rows) == list(ARMS)
    assert [arm for arm, row in rows.items() if row["median_ms"] is None] == ["OfficialSaliencyMix"]
    assert "OfficialSaliencyMix: not measured: " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(rounds=0), "should be positive numbers, got "),
        (dict(size=(2, 32)), "size should be at least 3x3, got 2x32."),
        (dict(amp=True), "mixed precision needs a GPU"),
        (dict(device="gpu"), "device should be one of torch's, such as 'cpu' or 'cuda', got 'gpu'."),
        (dict(config="nowhere.py"), "config nowhere.py does not exist"),
    ],
)
def test_wrong_options_are_errors(options, message):
    with pytest.raises(UsageError, match=message):
        benchmark_training(**{"config": CONFIG, **options})


def test_the_tool_prints_a_table_and_writes_json(run_tool, tmp_path):
    out = tmp_path / "training.json"
    options = ["--batch", 2, "--rounds", 1, "--threads", 1, "--out", out]
    output = run_tool("tools/benchmark_training.py", CONFIG, *options).stdout
    assert "| SaliencyMix | 2 | 32x32 | cpu | no |" in output
    content = json.loads(out.read_text())
    assert content["rows"][0]["median_ms"] > 0 and "mmpretrain" in content["machine"]
    failed = run_tool("tools/benchmark_training.py", "nowhere.py", check=False)
    assert failed.returncode == 2
    assert failed.stdout.splitlines()[-1].startswith("benchmark_training.py: config nowhere.py does not exist")
