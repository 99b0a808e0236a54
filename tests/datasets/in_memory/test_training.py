"""The fast CIFAR configs: what they share with the ordinary ones, training, evaluation and the benchmark."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch

pytest.importorskip("mmpretrain")
pytest.importorskip("cv2")

from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.runner import Runner

import smix_mm  # noqa: F401  (registers)
from smix_mm.engine.launch import build_runner, load_config
from smix_mm.utils.errors import UsageError

ROOT = Path(__file__).parents[3]
FAST = "configs/cifar10/fast/resnet18_{}_cifar10.py"
# The ImageNet stem, because it is quick on a CPU at 32 pixels, and a narrow net, whose checkpoints are small.
NARROW = {
    "model.backbone.type": "ResNet",
    "model.backbone.stem_channels": 16,
    "model.backbone.base_channels": 16,
    "model.head.in_channels": 128,
}
QUICK = {
    **NARROW,
    "train_dataloader.batch_size": 40,
    "train_cfg.max_epochs": 2,
    "default_hooks.logger.interval": 1,
}


@pytest.mark.parametrize("arm", ["cutmix", "saliencymix"])
def test_arms_differ_in_their_augmentation_alone(arm):
    baseline, other = (Config.fromfile(ROOT / FAST.format(name)).to_dict() for name in ("baseline", arm))
    augments = other["data_preprocessor"].pop("batch_augments")
    ordinary = Config.fromfile(ROOT / f"configs/cifar10/resnet18_{arm}_cifar10.py")
    assert baseline == other
    assert augments == ordinary.data_preprocessor.batch_augments.to_dict()


def test_captured_steps_differ_in_their_hook_and_the_fused_optimiser_alone():
    plain, captured = (Config.fromfile(ROOT / FAST.format(f"saliencymix{end}")).to_dict() for end in ("", "-captured"))
    assert captured["custom_hooks"] == [*plain.pop("custom_hooks"), dict(type="CapturedStepHook")]
    assert captured["optim_wrapper"]["optimizer"].pop("fused") is True
    captured.pop("custom_hooks")
    assert captured == plain


def test_the_fast_baseline_has_the_ordinary_protocol():
    fast = Config.fromfile(ROOT / FAST.format("baseline"))
    ordinary = Config.fromfile(ROOT / "configs/cifar10/resnet18_baseline_cifar10.py")
    assert fast.optim_wrapper.optimizer == ordinary.optim_wrapper.optimizer
    for name in ("param_scheduler", "train_cfg", "val_evaluator", "randomness", "default_hooks", "auto_scale_lr"):
        assert fast[name] == ordinary[name], name
    assert fast.model.backbone == ordinary.model.backbone
    assert fast.train_dataloader.batch_size == ordinary.train_dataloader.batch_size
    for name in ("mean", "std", "num_classes"):
        assert fast.data_preprocessor[name] == ordinary.data_preprocessor[name]
    pipeline = {step["type"]: step for step in ordinary.train_dataloader.dataset.pipeline}
    assert set(pipeline) - {"LoadImageFromFile"} == {"RandomCrop", "RandomFlip", "PackInputs"}
    assert fast.data_preprocessor.padding == pipeline["RandomCrop"]["padding"]
    assert fast.data_preprocessor.flip_prob == pipeline["RandomFlip"]["prob"]


def test_cifar100_differs_in_its_place_and_classes_alone():
    ten, hundred = (
        Config.fromfile(ROOT / f"configs/_base_/datasets/cifar{number}_in_memory.py").to_dict() for number in (10, 100)
    )
    assert hundred["data_preprocessor"].pop("num_classes") == 100 and ten["data_preprocessor"].pop("num_classes") == 10
    for cfg in (ten, hundred):
        places = {cfg[f"{part}_dataloader"]["dataset"].pop("data_root") for part in ("train", "val", "test")}
        assert places == {cfg.pop("data_root")}
    assert ten == hundred


@pytest.fixture(scope="module")
def trained(few_cifar10, tmp_path_factory):
    """A run of two epochs with SaliencyMix in mmengine's ordinary loop."""
    patch = pytest.MonkeyPatch()
    patch.setenv("SMIX_CIFAR10", str(few_cifar10))
    cfg = load_config(ROOT / FAST.format("saliencymix"), tmp_path_factory.mktemp("fast"), QUICK, "none")
    cfg.data_preprocessor.batch_augments.probs = 1.0
    cfg.experiment_name = "fast"
    runner = build_runner(cfg)
    runner.train()
    yield runner
    patch.undo()


def scalars(runner: Runner, name: str) -> list[float]:
    return list(runner.message_hub.get_scalar(name).data[0])


def test_it_trains_and_evaluates_in_the_ordinary_loop(trained):
    losses = scalars(trained, "train/loss")
    assert len(losses) == 12 and all(map(math.isfinite, losses))
    assert 0 <= scalars(trained, "val/accuracy/top1")[-1] <= scalars(trained, "val/accuracy/top5")[-1] <= 100
    assert (Path(trained.work_dir) / "epoch_2.pth").is_file()


def test_weights_lie_channels_last_and_stay_float32(trained):
    for weight in trained.model.parameters():
        assert weight.dtype == torch.float32
        assert weight.dim() != 4 or weight.is_contiguous(memory_format=torch.channels_last)
    momentum = [state["momentum_buffer"] for state in trained.optim_wrapper.optimizer.state.values()]
    assert momentum and all(buffer.dtype == torch.float32 for buffer in momentum)


def test_a_step_computes_in_bfloat16(trained):
    model = trained.model
    seen = []
    handle = model.backbone.layer1.register_forward_hook(lambda module, given, out: seen.append(out.dtype))
    wrapper = build_optim_wrapper(model, dict(type="Bfloat16OptimWrapper", optimizer=dict(type="SGD", lr=0.0)))
    batch = next(iter(trained.train_dataloader))
    try:
        losses = model.train_step(batch, wrapper)
        model.val_step(batch)
    finally:
        handle.remove()
    assert seen == [torch.bfloat16, torch.float32], "evaluation is in full precision"
    assert losses["loss"].dtype == torch.float32


def test_the_same_weights_have_the_same_accuracy_in_the_ordinary_way(trained, few_cifar10, tmp_path):
    checkpoint = Path(trained.work_dir) / "epoch_2.pth"
    options = {**QUICK, "load_from": str(checkpoint), "test_dataloader.num_workers": 0}
    options["test_dataloader.persistent_workers"] = False
    found = {}
    for name, config in (
        ("fast", FAST.format("baseline")),
        ("ordinary", "configs/cifar10/resnet18_baseline_cifar10.py"),
    ):
        cfg = load_config(ROOT / config, tmp_path / name, options, "none")
        cfg.experiment_name = f"evaluated {name}"
        runner = build_runner(cfg)
        found[name] = runner.test()
        scores = [
            torch.stack([sample.pred_score for sample in runner.model.val_step(batch)])
            for batch in runner.test_dataloader
        ]
        found[f"{name} scores"] = torch.cat(scores)
    assert {name: found["fast"][name] for name in ("accuracy/top1", "accuracy/top5")} == {
        name: found["ordinary"][name] for name in ("accuracy/top1", "accuracy/top5")
    }
    assert torch.allclose(found["fast scores"], found["ordinary scores"], atol=1e-5)


def test_the_backbone_is_published_as_rgb_with_its_normalisation(trained, tmp_path):
    from smix_mm.transfer import publish_backbone

    meta = publish_backbone(Path(trained.work_dir) / "epoch_2.pth", tmp_path / "backbone.pth")
    assert (meta["channel_order"], meta["mean"], meta["stem"]) == ("rgb", [125.3, 123.0, 113.9], "imagenet")


def test_two_runs_with_one_seed_have_the_same_losses(trained, few_cifar10, tmp_path):
    cfg = load_config(ROOT / FAST.format("saliencymix"), tmp_path, {**QUICK, "train_cfg.max_epochs": 1}, "none")
    cfg.data_preprocessor.batch_augments.probs = 1.0
    cfg.experiment_name = "again"
    again = build_runner(cfg)
    again.train()
    assert scalars(again, "train/loss") == scalars(trained, "train/loss")[:6]


def logged_losses(folder: Path) -> list[float]:
    lines = [json.loads(line) for path in folder.rglob("scalars.json") for line in path.read_text().splitlines()]
    return [line["loss"] for line in lines if "loss" in line]


def test_a_resumed_run_crops_flips_and_mixes_as_the_undisturbed_one(few_cifar10, tmp_path, monkeypatch):
    from smix_mm.engine.train import train

    monkeypatch.setenv("SMIX_CIFAR10", str(few_cifar10))
    config = str(ROOT / FAST.format("saliencymix"))
    train(config, work_dir=tmp_path / "whole", no_validate=True, cfg_options={**QUICK, "experiment_name": "whole"})
    torch.manual_seed(99)
    train(
        config,
        work_dir=tmp_path / "resumed",
        resume=str(tmp_path / "whole/epoch_1.pth"),
        no_validate=True,
        cfg_options={**QUICK, "experiment_name": "resumed"},
    )
    whole, resumed = logged_losses(tmp_path / "whole"), logged_losses(tmp_path / "resumed")
    assert len(whole) == 12 and resumed == whole[6:]


def test_the_benchmark_counts_images_after_the_warm_up(few_cifar10, monkeypatch):
    from smix_mm.benchmarks import cifar as module

    monkeypatch.setenv("SMIX_CIFAR10", str(few_cifar10))
    ticks = iter(range(100))
    # A second passes between two readings of the clock: a round of 2 iterations of 40 images makes 80 a second.
    monkeypatch.setattr(module, "timer", lambda: float(next(ticks)))
    options = {**NARROW, "train_dataloader.batch_size": 40}
    row = module.benchmark_cifar(ROOT / FAST.format("baseline"), iterations=2, warm_up=1, rounds=4, cfg_options=options)
    assert (row["batch"], row["median"], row["quartiles"]) == (40, 80.0, [80.0, 80.0])
    assert row["device"] == (torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu")
    assert module.format_table([row]).splitlines()[2].endswith("| 40 | 80 | 80-80 |")
    with pytest.raises(UsageError, match="should be at least 1, 1 and 2, got "):
        module.benchmark_cifar(ROOT / FAST.format("baseline"), rounds=1)


def test_the_benchmark_makes_up_official_files_of_noise(tmp_path):
    from smix_mm.benchmarks.cifar import make_up_cifar10
    from smix_mm.datasets.in_memory.dataset import read_split

    make_up_cifar10(tmp_path, number=20)
    images, labels, classes = read_split(tmp_path, "train")
    assert images.shape == (100, 3, 32, 32) and len(classes) == 10 and set(labels.tolist()) <= set(range(10))
    assert 120 < images.mean() < 135 and len(read_split(tmp_path, "test")[1]) == 20


@pytest.mark.long
def test_the_benchmark_tool_prints_a_table_and_writes_json(few_cifar10, run_tool, tmp_path):
    options = ["--rounds", 2, "--out", tmp_path / "speed.json", "--cfg-options", "model.backbone.type=ResNet"]
    run = run_tool("tools/benchmark_cifar.py", FAST.format("cutmix"), *options, SMIX_CIFAR10=few_cifar10)
    assert "| resnet18_cutmix_cifar10 |" in run.stdout
    content = json.loads((tmp_path / "speed.json").read_text())
    assert content["rows"][0]["median"] > 0 and "torch" in content["machine"]
    failed = run_tool("tools/benchmark_cifar.py", check=False, SMIX_CIFAR10=tmp_path)
    assert failed.returncode == 2 and "should contain cifar-10-batches-py/" in failed.stdout.splitlines()[-1]
