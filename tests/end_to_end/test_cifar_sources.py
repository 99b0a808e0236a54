"""CIFAR from the official files and from image files gives the same tensors."""

import pickle

import cv2
import numpy as np
import pytest
import torch
from mmengine.dataset import default_collate
from mmengine.registry import init_default_scope
from mmpretrain.datasets import CIFAR10, CIFAR100
from mmpretrain.registry import DATASETS, MODELS


@pytest.fixture(scope="module")
def rgb(few_cifar10) -> tuple[np.ndarray, list[int]]:
    """The 40 images of the test part, uint8 RGB (40, 32, 32, 3), in the order of their folders; and their classes."""
    files = sorted((few_cifar10 / "test").glob("*/*.jpg"))
    classes = sorted({file.parent.name for file in files})
    images = np.stack([cv2.imread(str(file))[..., ::-1] for file in files])
    return images, [classes.index(file.parent.name) for file in files]


def write_official(folder, name: str, labels_name: str, images: np.ndarray, labels: list[int], monkeypatch) -> None:
    """Files laid out as the official ones; their checksums are not compared."""
    kind = CIFAR10 if name == "cifar-10-batches-py" else CIFAR100
    monkeypatch.setattr(kind, "train_list", [["some_train", None]])
    monkeypatch.setattr(kind, "test_list", [["some_test", None]])
    (folder / name).mkdir()
    content = {"data": images.transpose(0, 3, 1, 2).reshape(len(images), -1), labels_name: labels}
    for part in ("some_train", "some_test"):
        (folder / name / part).write_bytes(pickle.dumps(content))


def batch(cfg, loader: str) -> tuple:
    """All images of a part behind the data preprocessor, their classes, and the preprocessor."""
    dataset = DATASETS.build(cfg[loader].dataset)
    preprocessor = MODELS.build(dict(type="ClsDataPreprocessor", **cfg.data_preprocessor))
    data = preprocessor(default_collate([dataset[n] for n in range(len(dataset))]), training=False)
    return data["inputs"], [int(sample.gt_label) for sample in data["data_samples"]], preprocessor


@pytest.mark.parametrize(
    "data, name, labels_name",
    [("cifar10", "cifar-10-batches-py", "labels"), ("cifar100", "cifar-100-python", "fine_labels")],
)
def test_both_sources_give_the_same_images(data, name, labels_name, few_cifar10, rgb, read, tmp_path, monkeypatch):
    images, labels = rgb
    write_official(tmp_path, name, labels_name, images, labels, monkeypatch)
    read = read.__wrapped__
    init_default_scope("mmpretrain")
    found = []
    for folder in (few_cifar10, tmp_path):
        monkeypatch.setenv(f"SMIX_{data.upper()}", str(folder))
        # Without crop and flip the training images are those of the files, too.
        cfg = read(f"configs/{data}/resnet18-plain_saliencymix_{data}.py")
        inputs, classes, preprocessor = batch(cfg, "test_dataloader")
        seen = preprocessor.batch_augments.augments[0].uint8_images(inputs)
        assert torch.equal(seen, torch.from_numpy(images.transpose(0, 3, 1, 2).copy()))
        assert classes == labels
        found.append((inputs, batch(cfg, "train_dataloader")[0]))
    assert torch.equal(found[0][0], found[1][0])
    assert len(found[0][1]) == 240 and torch.equal(found[1][1], found[1][0])
    mean, std = torch.tensor([125.3, 123.0, 113.9]), torch.tensor([63.0, 62.1, 66.7])
    assert torch.equal(found[0][0][0, :, 5, 9], (torch.from_numpy(images[0, 5, 9].copy()) - mean) / std)


def test_incomplete_official_files_raise_an_error_and_nothing_is_downloaded(read, tmp_path, monkeypatch):
    (tmp_path / "cifar-10-batches-py").mkdir()
    monkeypatch.setenv("SMIX_CIFAR10", str(tmp_path))
    cfg = read.__wrapped__("configs/cifar10/resnet18_baseline_cifar10.py")
    init_default_scope("mmpretrain")
    with pytest.raises(RuntimeError, match="Cannot find CIFAR10 dataset"):
        DATASETS.build(cfg.train_dataloader.dataset)
