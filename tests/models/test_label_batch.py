"""Labels of a batch handed over together, against mmpretrain's own data preprocessor."""

import numpy as np
import pytest
import torch
from mmpretrain.models import ClsDataPreprocessor
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample, MultiTaskDataSample

from smix_mm.models.label_batch import BatchClsDataPreprocessor, BatchLinearClsHead, LabelBatch

SETTINGS = dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], num_classes=10, to_rgb=True)
LABELS = [3, 9, 0, 3, 7]


def batch(labels=LABELS) -> dict:
    inputs = torch.randint(0, 256, (len(labels), 3, 8, 9), dtype=torch.uint8, generator=torch.manual_seed(1))
    return dict(inputs=inputs, data_samples=[DataSample().set_gt_label(label) for label in labels])


@pytest.mark.parametrize("augment", ["CutMix", "SaliencyMix", "Mixup"])
def test_mixed_images_and_scores_equal_mmpretrains(augment):
    augments = dict(batch_augments=dict(augments=dict(type=augment, alpha=1.0), probs=1.0))
    outputs = []
    for kind in (ClsDataPreprocessor, BatchClsDataPreprocessor):
        torch.manual_seed(5)
        np.random.seed(5)
        outputs.append(kind(**SETTINGS, **augments)(batch(), training=True))
    expected, actual = outputs
    assert torch.equal(actual["inputs"], expected["inputs"])
    assert isinstance(actual["data_samples"], LabelBatch)
    assert actual["data_samples"].labels.tolist() == LABELS
    scores = torch.stack([sample.gt_score for sample in expected["data_samples"]])
    torch.testing.assert_close(actual["data_samples"].scores, scores, rtol=0, atol=0)


def test_without_augments_only_labels_are_returned():
    output = BatchClsDataPreprocessor(**SETTINGS)(batch(), training=True)
    assert output["data_samples"].targets.tolist() == LABELS and output["data_samples"].scores is None


def test_outside_of_training_samples_stay_what_they_are():
    data = batch()
    samples = data["data_samples"]
    assert BatchClsDataPreprocessor(**SETTINGS)(data)["data_samples"] is samples


def test_several_labels_scores_and_tasks_are_left_to_mmpretrain():
    for sample in (
        DataSample().set_gt_label([1, 2]),
        DataSample().set_gt_score(torch.full((10,), 0.1)).set_gt_label(1),
        MultiTaskDataSample(),
    ):
        data = dict(batch([1]), data_samples=[sample])
        output = BatchClsDataPreprocessor(**SETTINGS)(data, training=True)["data_samples"]
        assert isinstance(output, list) and type(output[0]) is type(sample)


@pytest.mark.parametrize("label", [-1, 10])
def test_a_label_that_is_not_a_class_is_refused(label):
    with pytest.raises(ValueError, match=f"labels should be class numbers from 0 to 9, got {label}; set "):
        BatchClsDataPreprocessor(**SETTINGS, to_onehot=True)(batch([1, label]), training=True)


def test_scores_without_a_number_of_classes_are_refused():
    settings = {**SETTINGS, "num_classes": None}
    with pytest.raises(ValueError, match="should have num_classes for one-hot labels"):
        BatchClsDataPreprocessor(**settings, to_onehot=True)(batch(), training=True)


@pytest.mark.parametrize("head", ["LinearClsHead", "BatchLinearClsHead"])
def test_any_head_computes_the_same_loss(head):
    loss = dict(type="CrossEntropyLoss", use_soft=True)
    built = MODELS.build(dict(type=f"mmpretrain.{head}", num_classes=10, in_channels=4, loss=loss))
    plain = BatchLinearClsHead(num_classes=10, in_channels=4, loss=loss)
    plain.load_state_dict(built.state_dict())
    features = (torch.randn(len(LABELS), 4, generator=torch.manual_seed(2)),)
    expected = plain.loss(features, ClsDataPreprocessor(**SETTINGS, to_onehot=True)(batch(), True)["data_samples"])
    actual = built.loss(features, BatchClsDataPreprocessor(**SETTINGS, to_onehot=True)(batch(), True)["data_samples"])
    assert torch.equal(actual["loss"], expected["loss"])


@pytest.mark.parametrize("training", [True, False])
def test_labels_given_as_a_tensor_become_a_label_batch(training):
    given = dict(inputs=batch()["inputs"], data_samples=torch.tensor(LABELS))
    output = BatchClsDataPreprocessor(**SETTINGS, to_onehot=True)(given, training=training)["data_samples"]
    assert isinstance(output, LabelBatch) and output.labels.tolist() == LABELS
    assert output.scores.argmax(1).tolist() == LABELS
    with pytest.raises(ValueError, match="should have num_classes for one-hot labels"):
        BatchClsDataPreprocessor(**{**SETTINGS, "num_classes": None}, to_onehot=True)(given, training=True)
