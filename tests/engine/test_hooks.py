"""The hooks that check a training, without a training."""

import json
from types import SimpleNamespace

import pytest
import torch
from mmdet.structures import DetDataSample
from mmpretrain.models import ClsDataPreprocessor
from mmpretrain.structures import DataSample, MultiTaskDataSample
from torch import nn

from smix_mm.engine import LoadProofHook, MixingLabelsHook
from smix_mm.transfer.checkpoint import state_dict_hash
from smix_mm.utils.errors import LoadProofError, UsageError


class Log(list):
    info = warning = list.append


def runner(model, folder, iteration=0):
    return SimpleNamespace(
        model=model, iter=iteration, rank=0, work_dir=str(folder), cfg={}, logger=Log(), _resume=True
    )


def model_from(path) -> nn.Module:
    model = nn.Module()
    model.backbone = nn.Linear(2, 3)
    model.backbone.init_cfg = dict(type="Pretrained", checkpoint=str(path))
    return model


@pytest.fixture
def loaded(tmp_path):
    torch.manual_seed(0)
    model = model_from(tmp_path / "backbone.pth")
    torch.save(dict(state_dict=model.backbone.state_dict(), meta={}), tmp_path / "backbone.pth")
    return model


def test_the_proof_takes_the_checkpoint_from_init_cfg_and_writes_its_result(loaded, tmp_path):
    run = runner(loaded, tmp_path)
    LoadProofHook().before_train(run)
    proof = json.loads((tmp_path / "load_proof.json").read_text())
    assert proof == dict(backbone_hash=state_dict_hash(loaded.backbone.state_dict()), loaded="whole")
    assert "every backbone tensor equals" in run.logger[0]


def test_other_weights_stop_the_run(loaded, tmp_path):
    nn.init.zeros_(loaded.backbone.weight)
    with pytest.raises(LoadProofError, match="does not start from"):
        LoadProofHook().before_train(runner(loaded, tmp_path))
    assert not (tmp_path / "load_proof.json").exists()


def test_a_resumed_run_is_not_compared_with_what_it_started_from(loaded, tmp_path):
    nn.init.zeros_(loaded.backbone.weight)
    LoadProofHook().before_train(runner(loaded, tmp_path, iteration=5))


def test_a_backbone_without_a_checkpoint_or_with_a_remote_one_cannot_be_proven(loaded, tmp_path):
    loaded.backbone.init_cfg = None
    with pytest.raises(LoadProofError, match="names no checkpoint; set model.backbone.init_cfg"):
        LoadProofHook().before_train(runner(loaded, tmp_path))
    with pytest.raises(LoadProofError, match=r"torchvision://resnet50, whose loading cannot be proven"):
        LoadProofHook(checkpoint="torchvision://resnet50").before_train(runner(loaded, tmp_path))


AUGMENTS = dict(augments=dict(type="SaliencyMix", mean=[0, 0, 0], std=[255, 255, 255]))


def check_labels(samples, augments=AUGMENTS) -> None:
    preprocessor = ClsDataPreprocessor(mean=[0, 0, 0], std=[255, 255, 255], num_classes=3, batch_augments=augments)
    runner = SimpleNamespace(model=torch.nn.Module())
    runner.model.data_preprocessor = preprocessor
    MixingLabelsHook().before_train_iter(runner, 0, dict(inputs=torch.zeros(2, 3, 8, 8), data_samples=samples))


@pytest.mark.parametrize(
    "samples, named",
    [
        ([MultiTaskDataSample()] * 2, "a MultiTaskDataSample without gt_label"),
        ([DataSample()] * 2, "a DataSample without gt_label"),
        (None, "no labels"),
        ([], "no labels"),
    ],
)
def test_a_batch_that_mmpretrain_would_not_mix_stops_the_training(samples, named):
    with pytest.raises(UsageError, match=f"got {named}, which mmpretrain does not mix"):
        check_labels(samples)
    check_labels(samples, augments=None)


def test_batches_that_are_mixed_pass():
    check_labels([DataSample().set_gt_label(1)] * 2)
    check_labels([DataSample().set_gt_score(torch.ones(3) / 3)] * 2)
    check_labels(torch.tensor([0, 1]))  # the labels of the in-memory images


def test_the_batch_augments_of_a_detector_are_not_checked():
    from mmdet.models import DetDataPreprocessor

    runner = SimpleNamespace(model=torch.nn.Module())
    runner.model.data_preprocessor = DetDataPreprocessor(
        batch_augments=[dict(type="mmdet.BatchFixedSizePad", size=(64, 64))]
    )
    MixingLabelsHook().before_train_iter(runner, 0, dict(inputs=[], data_samples=[DetDataSample()]))


def test_only_the_first_batch_is_checked():
    hook = MixingLabelsHook()
    hook.before_train_iter(SimpleNamespace(model=torch.nn.Module()), 0, None)
    hook.before_train_iter(None, 1, None)
