"""Checks of tensors of images, and models inside wrappers."""

import numpy as np
import pytest
import torch
from torch import nn

from smix_mm.utils.tensors import check_images, unwrapped


@pytest.mark.parametrize(
    "shape, layouts",
    [
        ((0, 3, 3, 3), ["N, 3, H, W"]),
        ((2, 0, 5, 9), ["N, C, H, W"]),
        ((2, 1, 4, 3, 3), ["N, T, C, H, W"]),
        ((2, 4, 3, 6, 8, 8), ["N, T, 3, H, W", "N, M, 3, T, H, W"]),
    ],
)
def test_allowed_tensors_pass(shape, layouts):
    for dtype in (torch.uint8, torch.float16, torch.float64):
        check_images(torch.zeros(shape, dtype=dtype), *layouts)


@pytest.mark.parametrize(
    "images, options, error, message",
    [
        (np.zeros((1, 3, 8, 8)), {}, TypeError, "images should be a floating-point or uint8 tensor, got ndarray"),
        (torch.zeros(1, 3, 8, 8).int(), {}, TypeError, "images should be .* got torch.int32"),
        (
            torch.zeros(1, 3, 8, 8).byte(),
            dict(dtype="floating-point"),
            TypeError,
            "floating-point tensor, got torch.ui",
        ),
        (torch.zeros(1, 3, 8, 8), dict(dtype="uint8", name="x"), TypeError, "x should be a uint8 tensor, got torch.fl"),
        (torch.zeros(3, 8, 8), {}, ValueError, r"shape \(N, 3, H, W\), H and W at least 3, got \(3, 8, 8\)"),
        (torch.zeros(1, 1, 8, 8), {}, ValueError, r"got \(1, 1, 8, 8\)"),
        (torch.zeros(1, 3, 2, 8), {}, ValueError, r"got \(1, 3, 2, 8\)"),
        (torch.zeros(1, 3, 8, 2), {}, ValueError, r"got \(1, 3, 8, 2\)"),
    ],
)
def test_other_arguments_are_refused(images, options, error, message):
    with pytest.raises(error, match=message):
        check_images(images, "N, 3, H, W", **options)


@pytest.mark.parametrize(
    "shape", [(2, 0, 3, 8, 8), (2, 4, 3, 0, 8, 8), (2, 0, 3, 4, 8, 8), (2, 4, 3, 8), (2, 4, 2, 8, 8)]
)
def test_clips_without_frames_or_of_another_shape_are_refused(shape):
    expected = r"shape \(N, T, 3, H, W\) or \(N, M, 3, T, H, W\), T at least 1, H and W at least 3, got "
    with pytest.raises(ValueError, match=expected):
        check_images(torch.zeros(shape), "N, T, 3, H, W", "N, M, 3, T, H, W")


def test_a_model_is_taken_out_of_all_its_wrappers():
    model = nn.Sequential(nn.Linear(1, 1), nn.ReLU())
    assert unwrapped(nn.DataParallel(nn.DataParallel(model))) is model


@pytest.mark.parametrize("name", ["module", "backbone"])
def test_other_models_are_returned_unchanged(name):
    model = nn.Module()
    model.head = nn.Linear(1, 1)
    setattr(model, name, nn.Linear(1, 1))
    assert unwrapped(model) is model
    assert unwrapped(model.head) is model.head
