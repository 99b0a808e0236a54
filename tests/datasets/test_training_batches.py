"""Batches on their way from a config's data to the mixing."""

import itertools
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmpretrain.models import ClsDataPreprocessor
from mmpretrain.structures import DataSample

from smix_mm.datasets.in_memory.preprocessor import InMemoryClsDataPreprocessor
from smix_mm.datasets.training_batches import (
    build_preprocessor,
    preprocess,
    read_classification_config,
    training_batches,
    unnormalizer,
)

MEAN, STD = [125.3, 123.0, 113.9], [63.0, 62.1, 66.7]
IMAGES = torch.randint(0, 256, (6, 3, 16, 16), generator=torch.Generator().manual_seed(0)).byte()
FILES = dict(dataset=dict(pipeline=[dict(type="LoadImageFromFile"), dict(type="PackInputs")]))
MIXING = dict(augments=dict(type="SaliencyMix", mean=MEAN, std=STD), probs=1.0)


def samples() -> list:
    return [DataSample().set_gt_label(number) for number in (0, 1, 2, 0, 1, 2)]


@pytest.mark.parametrize("to_rgb, first", [(True, 2), (False, 0)])
def test_a_batch_is_normalised_but_not_mixed_and_stays_as_it_was(to_rgb, first):
    preprocessor = ClsDataPreprocessor(mean=MEAN, std=STD, to_rgb=to_rgb, num_classes=3, batch_augments=MIXING)
    data = dict(inputs=IMAGES.clone(), data_samples=samples())
    batch = preprocess(data, preprocessor, ["ant", "bee", "cat"])
    assert batch.labels == ["ant", "bee", "cat", "ant", "bee", "cat"]
    assert torch.equal(unnormalizer(preprocessor, FILES).uint8_images(batch.inputs), IMAGES.flip(1))  # files are BGR
    torch.testing.assert_close(batch.inputs[:, 0], (IMAGES[:, first].float() - MEAN[0]) / STD[0])
    assert all("gt_score" not in sample for sample in data["data_samples"])
    assert preprocessor.batch_augments is not None and torch.equal(data["inputs"], IMAGES)


def test_crops_of_images_in_memory_are_those_that_training_would_make_next():
    preprocessor = InMemoryClsDataPreprocessor(MEAN, STD, 3, batch_augments=None)
    data = dict(inputs=IMAGES, data_samples=torch.tensor([0, 1, 2, 0, 1, 2]))
    preprocess(data, preprocessor, None)
    assert preprocessor.generator is None
    preprocessor.generator = torch.Generator().manual_seed(3)
    state = preprocessor.generator.get_state()
    batch = preprocess(data, preprocessor, None)
    assert torch.equal(preprocessor.generator.get_state(), state)
    assert batch.labels[:3] == ["class 0", "class 1", "class 2"]
    assert torch.equal(batch.inputs, preprocessor(data, training=True)["inputs"])
    assert not torch.equal(unnormalizer(preprocessor, None).uint8_images(batch.inputs), IMAGES)
    preprocessor.padding = preprocessor.flip_prob = 0
    plain = preprocess(data, preprocessor, None)
    assert torch.equal(unnormalizer(preprocessor, None).uint8_images(plain.inputs), IMAGES)  # RGB already


def test_without_normalisation_the_images_are_the_inputs():
    preprocessor = ClsDataPreprocessor(to_rgb=True)
    batch = preprocess(dict(inputs=IMAGES, data_samples=samples()), preprocessor, None)
    assert torch.equal(unnormalizer(preprocessor, FILES).uint8_images(batch.inputs), IMAGES.flip(1))


@pytest.mark.parametrize("name, source", [("", "few"), ("", "official"), ("fast/", "few"), ("fast/", "official")])
def test_images_are_those_of_the_files_from_every_source_of_cifar10(
    few_cifar10, official_cifar10, monkeypatch, name, source
):
    monkeypatch.setenv("SMIX_CIFAR10", str(few_cifar10 if source == "few" else official_cifar10))
    root = Path(__file__).parents[2]
    cfg = read_classification_config(root / f"configs/cifar10/{name}resnet18_cutmix_cifar10.py")
    if name:
        cfg.data_preprocessor.update(padding=0, flip_prob=0)
    else:
        cfg.train_dataloader.dataset.pipeline = [
            step for step in cfg.train_dataloader.dataset.pipeline if not step["type"].startswith("Random")
        ]
    cfg.train_dataloader.update(batch_size=240, sampler=dict(type="DefaultSampler", shuffle=False))
    preprocessor = build_preprocessor(cfg)
    batch = next(training_batches(cfg, preprocessor, 0))
    files = sorted((few_cifar10 / "train").rglob("*.jpg"))
    expected = np.stack([cv2.imread(str(file))[..., ::-1].transpose(2, 0, 1) for file in files])
    images = unnormalizer(preprocessor, cfg.train_dataloader).uint8_images(batch.inputs)
    assert torch.equal(images, torch.from_numpy(expected))


def test_samples_with_several_labels_or_none_have_a_name():
    several, none = DataSample().set_gt_label([0, 2]), DataSample()
    data = dict(inputs=IMAGES[:1])
    assert preprocess(dict(data, data_samples=[several]), ClsDataPreprocessor(), ["a", "b", "c"]).labels == ["a and c"]
    assert preprocess(dict(data, data_samples=[none]), ClsDataPreprocessor(), None).labels == ["no label"]


@pytest.mark.parametrize(
    "data",
    [
        dict(inputs=IMAGES[:, :1], data_samples=samples()),
        dict(inputs=IMAGES),
        dict(inputs=IMAGES, data_samples=samples()[:2]),
    ],
)
def test_what_is_no_batch_of_images_with_labels_is_refused(data):
    with pytest.raises(ValueError, match=r"a batch should be \(N, 3, H, W\) with a label per image"):
        preprocess(data, ClsDataPreprocessor(), None)


def test_mixing_in_the_models_train_cfg_is_found_as_the_runner_finds_it():
    settings = dict(num_classes=3, mean=MEAN, std=STD)
    cfg = Config(dict(model=dict(train_cfg=dict(augments=MIXING["augments"])), data_preprocessor=settings))
    augments = build_preprocessor(cfg).batch_augments
    assert type(augments.augments[0]).__name__ == "SaliencyMix"
    assert cfg.data_preprocessor.to_dict() == settings


def test_batches_go_on_after_the_last_of_an_epoch(photographs):
    cfg = read_classification_config(photographs, {"train_dataloader.batch_size": 3})
    batches = itertools.islice(training_batches(cfg, build_preprocessor(cfg), 0), 4)
    assert [len(batch.labels) for batch in batches] == [3, 1, 3, 1]


def test_the_sampler_follows_the_seed(photographs):
    orders, cfg = [], read_classification_config(photographs)
    for seed in (0, 0, 1):
        orders.append(next(training_batches(cfg, build_preprocessor(cfg), seed)).labels)
    assert orders[0] == orders[1] and len(np.unique(["".join(order) for order in orders])) > 1
