"""A config that asks for mixing where mmpretrain does none."""

from types import SimpleNamespace

import pytest
import torch
from mmdet.structures import DetDataSample
from mmpretrain.models import ClsDataPreprocessor
from mmpretrain.structures import DataSample, MultiTaskDataSample

from smix_mm.engine import MixingLabelsHook
from smix_mm.utils.errors import UsageError

AUGMENTS = dict(augments=dict(type="SaliencyMix", mean=[0, 0, 0], std=[255, 255, 255]))


def look(samples, augments=AUGMENTS) -> None:
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
    with pytest.raises(UsageError, match=f"the data set gives {named}, which mmpretrain does not mix"):
        look(samples)
    look(samples, augments=None)


def test_batches_that_are_mixed_pass():
    look([DataSample().set_gt_label(1)] * 2)
    look([DataSample().set_gt_score(torch.ones(3) / 3)] * 2)
    look(torch.tensor([0, 1]))  # the labels of the in-memory images


def test_the_batch_augments_of_a_detector_are_left_alone():
    from mmdet.models import DetDataPreprocessor

    runner = SimpleNamespace(model=torch.nn.Module())
    runner.model.data_preprocessor = DetDataPreprocessor(
        batch_augments=[dict(type="mmdet.BatchFixedSizePad", size=(64, 64))]
    )
    MixingLabelsHook().before_train_iter(runner, 0, dict(inputs=[], data_samples=[DetDataSample()]))


def test_it_looks_once():
    hook = MixingLabelsHook()
    hook.before_train_iter(SimpleNamespace(model=torch.nn.Module()), 0, None)
    hook.before_train_iter(None, 1, None)
