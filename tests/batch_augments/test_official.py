"""OfficialSaliencyMix against an independent implementation of the released code's steps."""

import cv2
import numpy as np
import pytest
import torch
from mmpretrain.registry import BATCH_AUGMENTS

import smix_mm  # noqa: F401  (registers)
from smix_mm.utils.errors import PackageError


def reimplemented(images: torch.Tensor, scores: torch.Tensor, alpha: float):
    """λ, permutation, one box on the first partner's float image, paste, label by area."""
    images = images.clone()
    lam = np.random.beta(alpha, alpha)
    index = torch.randperm(images.size(0))
    uint8_image = images[index[0]].numpy().transpose(1, 2, 0).copy()
    saliency_map = cv2.saliency.StaticSaliencyFineGrained_create().computeSaliency(uint8_image)[1]
    flat = (saliency_map * 255).astype("uint8").ravel().tolist()
    row, column = divmod(flat.index(max(flat)), uint8_image.shape[1])
    rows, columns = uint8_image.shape[:2]
    cut = [int(side * np.sqrt(1 - lam)) for side in (rows, columns)]
    a1, a2 = max(row - cut[0] // 2, 0), min(row + cut[0] // 2, rows)
    b1, b2 = max(column - cut[1] // 2, 0), min(column + cut[1] // 2, columns)
    images[:, :, a1:a2, b1:b2] = images[index, :, a1:a2, b1:b2]
    lam = 1 - (a2 - a1) * (b2 - b1) / (rows * columns)
    return images, lam * scores + (1 - lam) * scores[index]


@pytest.mark.parametrize("alpha", [1.0, 0.3])
def test_batches_equal_the_independent_implementation_for_many_seeds(alpha):
    augment = BATCH_AUGMENTS.build(dict(type="OfficialSaliencyMix", alpha=alpha))
    for seed in range(60):
        shape = [(8, 3, 32, 32), (5, 3, 21, 34), (3, 3, 64, 40)][seed % 3]
        images = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
        scores = torch.eye(shape[0])
        results = []
        for call in (augment, lambda x, y: reimplemented(x, y, alpha)):
            np.random.seed(seed)
            torch.manual_seed(seed)
            results.append(call(images, scores))
        assert torch.equal(results[0][0], results[1][0]), seed
        assert torch.equal(results[0][1], results[1][1]), seed


def test_inputs_are_not_changed_and_integers_become_float():
    images, scores = torch.randn(6, 3, 16, 16, generator=torch.Generator().manual_seed(0)), torch.eye(6).long()
    copy = images.clone()
    mixed, mixed_scores = BATCH_AUGMENTS.build(dict(type="OfficialSaliencyMix"))(images, scores)
    assert torch.equal(images, copy) and mixed.data_ptr() != images.data_ptr()
    assert mixed_scores.dtype == torch.float32


def test_its_box_is_not_where_the_true_map_peaks():
    """The finding: the released code reads the bits of floats as if they were pixels."""
    from smix_mm.saliency import FineGrainedSaliency

    skimage_data = pytest.importorskip("skimage.data")
    uint8_image = cv2.resize(skimage_data.astronaut(), (224, 224), interpolation=cv2.INTER_AREA)
    uint8_images = torch.from_numpy(uint8_image).permute(2, 0, 1)[None]
    y, x = FineGrainedSaliency().peak(uint8_images)[0].tolist()
    normalized = (uint8_images[0] - torch.tensor([123.675, 116.28, 103.53]).view(3, 1, 1)) / 58.0
    box = BATCH_AUGMENTS.build(dict(type="OfficialSaliencyMix")).box(normalized, lam=0.99)
    assert abs((box[0] + box[2]) / 2 - y) + abs((box[1] + box[3]) / 2 - x) > 20


def test_the_error_without_the_contrib_opencv_names_the_package_to_install(monkeypatch):
    monkeypatch.delattr(cv2, "saliency")
    with pytest.raises(PackageError, match="opencv-contrib-python-headless"):
        BATCH_AUGMENTS.build(dict(type="OfficialSaliencyMix"))


def test_nan_is_refused():
    images = torch.zeros(4, 3, 8, 8)
    images[0, 0, 0, 0] = float("nan")
    with pytest.raises(ValueError, match="NaN or infinity"):
        BATCH_AUGMENTS.build(dict(type="OfficialSaliencyMix"))(images, torch.eye(4))
