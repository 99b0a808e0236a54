"""The map that the released code gets, and the peak that it takes from it."""

import cv2
import numpy as np
import pytest
import torch
from torchvision.transforms import functional

from smix_mm.batch_augments.official import released_code_maps
from smix_mm.saliency import FineGrainedSaliency, OpenCVSaliency
from smix_mm.saliency.base import map_extreme
from smix_mm.utils.constants import IMAGENET_MEAN, IMAGENET_STD


def normalize(images: torch.Tensor) -> torch.Tensor:
    return functional.normalize(images.float(), IMAGENET_MEAN, IMAGENET_STD)


def photographs(size: int = 96) -> torch.Tensor:
    data = pytest.importorskip("skimage.data")
    uint8_images = [
        cv2.resize(getattr(data, name)(), (size, size)) for name in ("astronaut", "chelsea", "coffee", "rocket")
    ]
    return torch.from_numpy(np.stack(uint8_images)).permute(0, 3, 1, 2).contiguous()


def test_it_equals_opencvs_map_of_the_normalized_float_image():
    images = normalize(photographs())
    for image, saliency_map in zip(images, released_code_maps(images)):
        uint8_image = image.numpy().transpose(1, 2, 0).copy()
        expected = cv2.saliency.StaticSaliencyFineGrained_create().computeSaliency(uint8_image)[1]
        assert np.array_equal((saliency_map * 255).round().numpy(), (expected * 255).astype("uint8"))


def test_it_has_nothing_to_do_with_the_map_of_the_same_image_as_bytes():
    uint8_images = photographs()
    released, true = released_code_maps(normalize(uint8_images)), FineGrainedSaliency()(uint8_images)
    for one, other in zip(released, true):
        assert abs(np.corrcoef(one.flatten(), other.flatten())[0, 1]) < 0.2
    # The detector is the same: handed bytes, it gives the true map.
    assert torch.equal((true * 255).round(), (OpenCVSaliency()(uint8_images) * 255).round())


def test_it_gives_the_box_that_the_registered_augmentation_cuts():
    pytest.importorskip("mmpretrain")
    from smix_mm.batch_augments import OfficialSaliencyMix

    images = normalize(photographs())
    augment = OfficialSaliencyMix()
    for image, (y, x) in zip(images, map_extreme(released_code_maps(images), True, None)[0].tolist()):
        # A patch of 2 pixels a side lies around its peak, unless the border cuts it.
        y1, x1, y2, x2 = augment.box(image, lam=1 - (2.5 / 96) ** 2)
        assert (y1, x1) == (max(y - 1, 0), max(x - 1, 0)) and (y2, x2) == (min(y + 1, 96), min(x + 1, 96))


def test_images_are_not_changed_and_channels_last_makes_no_difference():
    images = normalize(photographs())
    copy = images.clone()
    maps = released_code_maps(images)
    assert torch.equal(images, copy)
    assert maps.dtype == torch.float32 and maps.shape == (4, 96, 96) and maps.min() >= 0 and maps.max() <= 1
    assert torch.equal(released_code_maps(images.contiguous(memory_format=torch.channels_last)), maps)
    assert released_code_maps(images[:0]).shape == (0, 96, 96)


@pytest.mark.parametrize(
    "call, message",
    [
        (
            lambda: released_code_maps(torch.zeros(1, 3, 8, 8, dtype=torch.uint8)),
            "images should be a floating-point tensor, got torch.uint8",
        ),
        (
            lambda: released_code_maps(torch.zeros(3, 8, 8)),
            r"images should have the shape \(N, 3, H, W\), .* got \(3, 8, 8\)",
        ),
        (lambda: released_code_maps(torch.zeros(1, 3, 2, 8)), "H and W at least 3"),
    ],
)
def test_a_wrong_argument_raises_an_error_with_the_expected_and_the_given_value(call, message):
    with pytest.raises((TypeError, ValueError), match=message):
        call()
