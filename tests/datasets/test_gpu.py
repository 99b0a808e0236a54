"""The fast path on a GPU: what it crops, flips and mixes is the CPU's, it trains in bfloat16, and goes on exactly."""

import json
import math
from pathlib import Path

import pytest
import torch

pytest.importorskip("mmpretrain")

from mmpretrain.registry import MODELS

import smix_mm  # noqa: F401  (registers)
from smix_mm.engine import captured
from smix_mm.engine.launch import build_runner, load_config
from smix_mm.saliency import normalization

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / "configs/cifar10/fast/resnet18_saliencymix_cifar10.py"
MEAN, STD = [125.3, 123.0, 113.9], [63.0, 62.1, 66.7]
SHORT = {
    "model.backbone.stem_channels": 16,
    "model.backbone.base_channels": 16,
    "model.head.in_channels": 128,
    "train_dataloader.batch_size": 40,
    "train_cfg.max_epochs": 2,
    "default_hooks.logger.interval": 1,
}


@pytest.mark.parametrize("before_crop", [False, True])
def test_crops_flips_and_mixes_equal_the_cpus(before_crop, device):
    images = torch.randint(0, 256, (32, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    labels = torch.arange(32) % 10

    def batches(on):
        torch.manual_seed(3)
        augments = dict(augments=dict(type="SaliencyMix", mean=MEAN, std=STD), probs=1.0)
        settings = dict(mean=MEAN, std=STD, num_classes=10, saliency_before_crop=before_crop, batch_augments=augments)
        preprocessor = MODELS.build(dict(type="InMemoryClsDataPreprocessor", **settings)).to(on)
        batch = dict(inputs=images.to(on), data_samples=labels.to(on), places=torch.arange(32))
        found = [preprocessor(batch, training=True) for _ in range(3)]
        return [(each["inputs"], each["data_samples"].scores) for each in found]

    for (inputs, scores), (cpu_inputs, cpu_scores) in zip(batches(device), batches("cpu")):
        assert inputs.device.type == device and inputs.is_contiguous(memory_format=torch.channels_last)
        torch.testing.assert_close(inputs.cpu(), cpu_inputs, rtol=0, atol=1e-6)
        assert torch.equal(scores.cpu(), cpu_scores)


@pytest.mark.gpu
def test_it_trains_on_the_gpu_in_bfloat16_and_channels_last(made_up_cifar10, tmp_path, monkeypatch):
    monkeypatch.setenv("SMIX_CIFAR10", str(made_up_cifar10))
    cfg = load_config(CONFIG, tmp_path, SHORT, "none")
    cfg.experiment_name = "fast on a GPU"
    runner = build_runner(cfg)
    seen = set()
    runner.model.backbone.layer1.register_forward_hook(
        lambda module, given, out: seen.add((out.device.type, out.dtype, module.training))
    )
    runner.train()
    losses = list(runner.message_hub.get_scalar("train/loss").data[0])
    assert len(losses) == 12 and all(map(math.isfinite, losses))
    assert ("cuda", torch.bfloat16, True) in seen and ("cuda", torch.float32, False) in seen
    assert runner.train_dataloader.dataset.images.is_cuda
    for weight in runner.model.parameters():
        assert weight.is_cuda and weight.dtype == torch.float32
        assert weight.dim() != 4 or weight.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.gpu
@pytest.mark.parametrize("probs, before_crop", [(0.5, False), (1.0, False), (1.0, True)])
def test_captured_steps_train_the_network_that_uncaptured_ones_train(
    probs, before_crop, made_up_cifar10, tmp_path, monkeypatch
):
    monkeypatch.setenv("SMIX_CIFAR10", str(made_up_cifar10))
    # So that half of 40 iterations suffice until a batch is not looked at any more.
    monkeypatch.setattr(normalization, "CHECKED_GPU_BATCHES", 2)
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)

    def train(name):
        config = CONFIG.with_name(f"{name}.py")
        # In float32, so that what differs is the order of sums alone; 240 images make the last batch smaller.
        options = {**SHORT, "train_dataloader.batch_size": 50, "train_dataloader.drop_last": False}
        options.update(
            {"train_cfg.max_epochs": 8, "optim_wrapper.type": "OptimWrapper", "env_cfg.cudnn_benchmark": False}
        )
        cfg = load_config(config, tmp_path / name, options, "none")
        cfg.data_preprocessor.batch_augments.probs = probs
        cfg.data_preprocessor.saliency_before_crop = before_crop
        cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
        cfg.experiment_name = f"{name} {probs}"
        runner = build_runner(cfg)
        runner.train()
        return list(runner.message_hub.get_scalar("train/loss").data[0])

    graphs = []
    replay = captured.CapturedStep.replay
    monkeypatch.setattr(
        captured.CapturedStep, "replay", lambda self, *batch: graphs.append(self) or replay(self, *batch)
    )
    expected = train("resnet18_saliencymix_cifar10")
    assert not graphs
    losses = train("resnet18_saliencymix-captured_cifar10")
    assert len(graphs) >= 10 and isinstance(graphs[0].graph, torch.cuda.CUDAGraph)
    assert len(losses) == len(expected) == 40
    # The same draws: while the networks are still alike, so are the losses. Later the rounding of sums tells.
    assert losses[:20] == pytest.approx(expected[:20], rel=2e-2)
    assert all(map(math.isfinite, losses))


def logged_losses(folder: Path) -> list[float]:
    lines = [json.loads(line) for path in folder.rglob("scalars.json") for line in path.read_text().splitlines()]
    return [line["loss"] for line in lines if "loss" in line]


@pytest.mark.gpu
def test_resumed_on_the_gpu_it_has_the_losses_of_a_run_left_alone(made_up_cifar10, run_tool, tmp_path):
    options = [f"{name}={value}" for name, value in SHORT.items()]
    options += ["randomness.deterministic=True", "env_cfg.cudnn_benchmark=False"]
    environment = dict(SMIX_CIFAR10=made_up_cifar10, CUBLAS_WORKSPACE_CONFIG=":4096:8")

    def train(name, *arguments):
        command = ("tools/train.py", CONFIG, "--work-dir", tmp_path / name, "--no-validate", *arguments)
        run_tool(*command, "--cfg-options", *options, **environment)
        return logged_losses(tmp_path / name)

    whole = train("whole")
    resumed = train("resumed", "--resume", tmp_path / "whole/epoch_1.pth")
    assert len(whole) == 12 and resumed == whole[6:]
