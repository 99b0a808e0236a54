"""Spectral residual, beside OpenCV's."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from smix_mm.saliency import SpectralResidualSaliency, build_detector
from smix_mm.saliency.frequency import resize_to_side

cv2 = pytest.importorskip("cv2")


@pytest.mark.parametrize("size", [(224, 224), None, (32, 32)], ids=["224x224", "natural size", "32x32"])
def test_is_close_to_opencv_on_photographs(imagenet_images, size, opencv_map, as_batch):
    detector = build_detector({"type": "SpectralResidualSaliency"})
    near = []
    for uint8_image in imagenet_images:
        images = as_batch(cv2.resize(uint8_image, size) if size else uint8_image)
        maps, reference = detector(images), opencv_map(images, "spectral_residual")
        assert (maps - reference).abs().max() < 1e-3
        peak, expected = maps[0].argmax().item(), reference[0].argmax().item()
        width = images.shape[3]
        near.append(max(abs(peak // width - expected // width), abs(peak % width - expected % width)) <= 1)
    assert np.mean(near) >= 0.95


@settings(max_examples=100, deadline=None, derandomize=True)
@given(height=st.integers(3, 400), width=st.integers(3, 400), seed=st.integers(0, 2**32 - 1))
def test_its_resize_equals_opencvs_exact_one(height, width, seed):
    grey = np.random.default_rng(seed).integers(0, 256, (height, width), np.uint8)
    expected = cv2.resize(grey, (64, 64), interpolation=cv2.INTER_LINEAR_EXACT)
    assert np.array_equal(resize_to_side(torch.from_numpy(grey)[None].int())[0].numpy(), expected)


@pytest.mark.parametrize("size", [(3, 3), (17, 200), (64, 64)])
def test_maps_are_in_the_unit_range_and_flat_images_give_zeros(size, made_up_images):
    uint8_images = made_up_images(*size)
    images = torch.stack(list(uint8_images.values()))
    before = images.clone()
    maps = SpectralResidualSaliency()(images)
    assert maps.dtype == torch.float32 and maps.shape == (len(images), *size)
    assert maps.min() >= 0 and maps.max() <= 1 and torch.equal(images, before)
    for name, saliency_map in zip(uint8_images, maps):
        if name in ("black", "white", "flat"):
            assert not saliency_map.any()
        elif name in ("noise", "half white", "diagonal gradient"):
            assert saliency_map.max() > 0


def test_a_map_does_not_depend_on_its_batch(made_up_images):
    images = torch.stack(list(made_up_images(50, 70).values()))
    detector = SpectralResidualSaliency()
    for index in (0, 1, 5):
        torch.testing.assert_close(detector(images)[index], detector(images[index : index + 1])[0])


def test_no_images_give_no_maps():
    assert SpectralResidualSaliency()(torch.zeros(0, 3, 9, 7, dtype=torch.uint8)).shape == (0, 9, 7)
