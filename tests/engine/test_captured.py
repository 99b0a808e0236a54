"""Captured training steps; a CPU has no CUDA graphs, so there a stand-in calls the step again at every replay."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
import torch

pytest.importorskip("mmpretrain")
pytest.importorskip("cv2")

import smix_mm  # noqa: F401  (registers)
from smix_mm.engine import captured
from smix_mm.engine.launch import build_runner, load_config
from smix_mm.utils.errors import NonFiniteError

ROOT = Path(__file__).parents[2]
QUICK = {
    "model.backbone.type": "ResNet",
    "model.backbone.stem_channels": 16,
    "model.backbone.base_channels": 16,
    "model.head.in_channels": 128,
    # 240 images: five batches an epoch, the last of them smaller.
    "train_dataloader.batch_size": 50,
    "train_dataloader.drop_last": False,
    "train_cfg.max_epochs": 3,
    "default_hooks.logger.interval": 2,
    "val_cfg": None,
    "val_dataloader": None,
    "val_evaluator": None,
    "optim_wrapper.optimizer.fused": True,
}


class StandIn:
    """In a CUDA graph's place: the step itself."""

    def __init__(self, step) -> None:
        self.replay = step


@pytest.fixture
def stand_in(monkeypatch) -> None:
    monkeypatch.setattr(captured, "can_capture", lambda device: True)
    monkeypatch.setattr(captured, "capture", StandIn)
    # What a GPU looks at in its first batches, a CPU looks at in all of them.
    monkeypatch.setattr(captured, "_is_ready", lambda augment: True)


def run(folder: Path, arm: str, few_cifar10: Path, monkeypatch, hook: dict | None, **options):
    monkeypatch.setenv("SMIX_CIFAR10", str(few_cifar10))
    cfg = load_config(ROOT / f"configs/cifar10/fast/resnet18_{arm}_cifar10.py", folder, {**QUICK, **options}, "none")
    if hook is not None:
        cfg.custom_hooks = [*cfg.custom_hooks, dict(type="CapturedStepHook", **hook)]
    cfg.experiment_name = str(folder)
    runner = build_runner(cfg)
    runner.train()
    return runner


def history(runner, name: str) -> list[float]:
    return list(runner.message_hub.get_scalar(name).data[0])


@pytest.mark.parametrize(
    "arm, interval", [("baseline", 2), ("saliencymix", 2), ("saliencymix", 50), ("saliencymix-before-crop", 2)]
)
def test_the_same_draws_train_the_same_network(arm, interval, few_cifar10, tmp_path, monkeypatch, stand_in):
    plain = run(tmp_path / "plain", arm, few_cifar10, monkeypatch, None)
    replayed = run(tmp_path / "captured", arm, few_cifar10, monkeypatch, dict(warm_up=2, interval=interval))
    assert history(replayed, "train/lr") == history(plain, "train/lr")
    ours, expected = history(replayed, "train/loss"), history(plain, "train/loss")
    assert len(ours) == len(expected) == 15
    # The first two are the same step; then the learning rate is a float32, where it was a float64.
    assert ours[:2] == expected[:2] and ours == pytest.approx(expected, rel=1e-3)
    for name, value in plain.model.state_dict().items():
        torch.testing.assert_close(replayed.model.state_dict()[name], value, rtol=1e-3, atol=1e-4, msg=name)


def test_batches_of_another_size_run_step_by_step_and_a_line_says_so(
    few_cifar10, tmp_path, monkeypatch, stand_in, caplog
):
    replays = []
    monkeypatch.setattr(captured.CapturedStep, "replay", _counting(captured.CapturedStep.replay, replays))
    with caplog.at_level(logging.INFO):
        runner = run(tmp_path, "saliencymix", few_cifar10, monkeypatch, dict(warm_up=1))
    # Of 15 iterations one warms up and three are the last of an epoch.
    assert len(replays) == 11 and runner.iter == 15
    log = next(tmp_path.glob("*/*.log")).read_text()
    assert log.count("Training steps with 40 images, not a full batch, are not captured") == 1


def _counting(replay, calls):
    def counted(self, *arguments):
        calls.append(self.augment)
        return replay(self, *arguments)

    return counted


def test_a_loss_that_is_not_finite_changes_nothing_and_stops_the_run_when_it_is_looked_at(
    few_cifar10, tmp_path, monkeypatch, stand_in
):
    before = {}
    step = captured.CapturedStep.replay

    def spoilt(self, *batch):
        runner = self.hook.runner
        if runner.iter != 6:
            return step(self, *batch)
        optimizer = runner.optim_wrapper.optimizer
        before.update({name: value.clone() for name, value in runner.model.state_dict().items()})
        momenta = [optimizer.state[each]["momentum_buffer"].clone() for each in runner.model.parameters()]
        with monkeypatch.context() as patch:
            patch.setattr(self.hook, "parse_losses", lambda losses: _as_nan(*parse(losses)))
            losses = step(self, *batch)
        for name, value in runner.model.state_dict().items():
            if value.is_floating_point():
                assert torch.equal(value, before[name]), name
        for each, momentum in zip(runner.model.parameters(), momenta):
            assert torch.equal(optimizer.state[each]["momentum_buffer"], momentum)
        parse_was.append(runner.iter)
        return losses

    parse_was: list[int] = []
    monkeypatch.setattr(captured.CapturedStep, "replay", spoilt)

    def parse(losses):
        total = sum(value.mean() for value in losses.values())
        return total, dict(loss=total)

    def _as_nan(total, log_vars):
        return total * float("nan"), dict(loss=total * float("nan"))

    with pytest.raises(NonFiniteError, match=r"iteration 7 has no finite loss: loss is nan; it changed no weights"):
        run(tmp_path, "saliencymix", few_cifar10, monkeypatch, dict(warm_up=1, interval=5))
    assert parse_was == [6]


@pytest.mark.parametrize(
    "options, reason",
    [
        ({"optim_wrapper.optimizer.fused": False}, "the optimizer should be SGD with fused=True"),
        ({"optim_wrapper.accumulative_counts": 2}, "gradients are accumulated or clipped"),
        (
            {"data_preprocessor.batch_augments": dict(augments=dict(type="CutMix", alpha=1.0), probs=0.5)},
            "batch_augments should have none but SaliencyMix with FineGrainedSaliency",
        ),
        (
            {
                "data_preprocessor.batch_augments": dict(
                    augments=dict(type="SaliencyMix", saliency=dict(type="SpectralResidualSaliency")), probs=0.5
                )
            },
            "batch_augments should have none but SaliencyMix with FineGrainedSaliency",
        ),
        (
            {"model.head.cal_acc": True},
            "the head should be BatchLinearClsHead with CrossEntropyLoss, without cal_acc",
        ),
        (
            {"model.head.loss": dict(type="CrossEntropyLoss", class_weight=[1.0] * 10)},
            "CrossEntropyLoss has class weights",
        ),
    ],
)
def test_a_training_that_cannot_be_captured_runs_and_says_why_once(
    options, reason, few_cifar10, tmp_path, monkeypatch, stand_in
):
    run(tmp_path, "baseline", few_cifar10, monkeypatch, {}, **{**options, "train_cfg.max_epochs": 1})
    log = next(tmp_path.glob("*/*.log")).read_text()
    assert log.count(f"Training steps are not captured: {reason}.") == 1


def test_where_bad_iterations_are_skipped_steps_are_not_captured(few_cifar10, tmp_path, monkeypatch, stand_in):
    hooks = [dict(type="NonFiniteHook", action="skip"), dict(type="CapturedStepHook")]
    run(tmp_path, "baseline", few_cifar10, monkeypatch, None, **{"custom_hooks": hooks, "train_cfg.max_epochs": 1})
    log = next(tmp_path.glob("*/*.log")).read_text()
    assert "Training steps are not captured: NonFiniteHook should skip iterations" in log


def test_without_a_gpu_it_trains_as_without_the_hook(few_cifar10, tmp_path, monkeypatch):
    plain = run(tmp_path / "plain", "saliencymix", few_cifar10, monkeypatch, None, **{"train_cfg.max_epochs": 1})
    hooked = run(tmp_path / "hook", "saliencymix", few_cifar10, monkeypatch, {}, **{"train_cfg.max_epochs": 1})
    assert history(hooked, "train/loss") == history(plain, "train/loss")
    assert "there is no GPU" in next((tmp_path / "hook").glob("*/*.log")).read_text()


def test_refuses_an_interval_of_none():
    with pytest.raises(ValueError, match="interval and warm_up should be at least 1, got 0 and 11"):
        captured.CapturedStepHook(interval=0)
