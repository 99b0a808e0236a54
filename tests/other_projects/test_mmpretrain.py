"""When mmpretrain calls a batch augmentation."""

import pytest
import torch
from mmpretrain.models import ClsDataPreprocessor, SelfSupDataPreprocessor
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample, MultiTaskDataSample

import smix_mm  # noqa: F401  (registers)

CLASSES, SAMPLES = 4, 8
AUGMENTS = dict(augments=dict(type="SaliencyMix", mean=[0, 0, 0], std=[255, 255, 255]))


def images() -> torch.Tensor:
    return torch.randint(0, 256, (SAMPLES, 3, 24, 31), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))


def preprocess(samples, training: bool = True, **options):
    """The output of mmpretrain's preprocessor for classification."""
    torch.manual_seed(0)
    settings = dict(mean=[0, 0, 0], std=[255, 255, 255], num_classes=CLASSES) | options
    preprocessor = ClsDataPreprocessor(batch_augments=AUGMENTS, **settings)
    return preprocessor(dict(inputs=images(), data_samples=samples), training=training)


PLAIN = images() / 255


def numbered(number: int) -> DataSample:
    return DataSample().set_gt_label(number % CLASSES)


def test_single_label_classification_is_mixed_in_training_only():
    out = preprocess([numbered(number) for number in range(SAMPLES)])
    scores = torch.stack([sample.gt_score for sample in out["data_samples"]])
    assert not torch.equal(out["inputs"], PLAIN) and bool(((scores > 0) & (scores < 1)).any())
    assert torch.equal(preprocess([numbered(1)] * SAMPLES, training=False)["inputs"], PLAIN)


def test_multi_label_classification_is_mixed_with_each_class_weighted_by_area():
    samples = [DataSample().set_gt_label([0, 1 + number % (CLASSES - 1)]) for number in range(SAMPLES)]
    out = preprocess(samples)
    scores = torch.stack([sample.gt_score for sample in out["data_samples"]])
    assert not torch.equal(out["inputs"], PLAIN)
    torch.testing.assert_close(scores[:, 0], torch.ones(SAMPLES))
    torch.testing.assert_close(scores.sum(1), torch.full((SAMPLES,), 2.0))


def test_multi_task_batches_are_silently_not_mixed():
    samples = []
    for number in range(SAMPLES):
        sample = MultiTaskDataSample()
        sample.set_field(numbered(number), "colour", field_type="data")
        samples.append(sample)
    out = preprocess(samples)
    assert torch.equal(out["inputs"], PLAIN)
    assert [int(sample.colour.gt_label) for sample in out["data_samples"]] == [n % CLASSES for n in range(SAMPLES)]


def test_batches_without_labels_are_silently_not_mixed():
    assert torch.equal(preprocess([DataSample() for _ in range(SAMPLES)])["inputs"], PLAIN)
    assert torch.equal(preprocess(None)["inputs"], PLAIN)


def test_a_self_supervised_preprocessor_has_no_batch_augmentations():
    with pytest.raises(TypeError, match="batch_augments"):
        SelfSupDataPreprocessor(mean=[0, 0, 0], std=[1, 1, 1], batch_augments=AUGMENTS)
    with pytest.raises(TypeError, match="batch_augments"):
        MODELS.build(dict(type="mmpretrain.TwoNormDataPreprocessor", batch_augments=AUGMENTS))
