"""Cutout: always a hole, of one size, anywhere, cut off at the borders, filled with the mean."""

import pytest
import torch
from mmpretrain.models import ClsDataPreprocessor
from mmpretrain.registry import BATCH_AUGMENTS
from mmpretrain.structures import DataSample
from torch import Tensor

import smix_mm  # noqa: F401  (registers)

SAMPLES, SIDE, LENGTH = 4000, 12, 4


def batch(samples: int = SAMPLES, height: int = SIDE, width: int = SIDE) -> Tensor:
    """Floats of which none is zero."""
    return torch.rand(samples, 3, height, width, generator=torch.Generator().manual_seed(0)) + 1


def cut(inputs: Tensor, length: int = LENGTH, seed: int = 0) -> Tensor:
    torch.manual_seed(seed)
    return BATCH_AUGMENTS.build(dict(type="Cutout", length=length))(inputs, torch.eye(2)[[0] * len(inputs)])[0]


def holes(inputs: Tensor, length: int) -> Tensor:
    """bool (N, H, W), where all channels are zero; it is checked that all of them are."""
    zero = cut(inputs, length) == 0
    assert torch.equal(zero.any(1), zero.all(1))
    return zero[:, 0]


@pytest.mark.parametrize("length", [1, 4, 5, 8, 40])
def test_every_image_has_one_hole_around_a_place_of_it_cut_off_at_the_borders(length):
    found = holes(batch(), length)
    for axis, reduced in ((1, found.any(2)), (2, found.any(1))):
        admissible = set()
        for centre in range(SIDE):
            first = centre - length // 2
            admissible.add((max(first, 0), min(first + length, SIDE)))
        ends = [(row.nonzero()[0].item(), row.nonzero()[-1].item() + 1) for row in reduced]
        assert set(ends) == admissible, axis
    # A hole is a whole rectangle.
    assert torch.equal(found, found.any(2)[:, :, None] & found.any(1)[:, None, :])


def test_the_centres_are_uniform_over_the_image():
    chi2 = pytest.importorskip("scipy.stats").chi2
    counts = holes(batch(), 1).sum(0).flatten().double()
    expected = SAMPLES / SIDE**2
    assert ((counts - expected) ** 2 / expected).sum() < chi2.ppf(0.999, SIDE**2 - 1)


def test_a_hole_of_16_in_32_is_whole_where_the_centre_is_far_from_the_borders():
    areas = holes(batch(500, 32, 32), 16).flatten(1).sum(1)
    assert areas.max() == 256 and areas.min() >= 64 and len(set(areas.tolist())) > 20


def test_the_rest_of_the_images_and_the_labels_stay_and_nothing_is_changed_in_place():
    inputs, scores = batch(50), torch.eye(5).long()[torch.arange(50) % 5]
    before = inputs.clone()
    out, out_scores = BATCH_AUGMENTS.build(dict(type="Cutout", length=LENGTH))(inputs, scores)
    assert torch.equal(inputs, before)
    assert torch.equal(out[out != 0], inputs[out != 0])
    assert out_scores.is_floating_point() and torch.equal(out_scores, scores.float())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_dtype_and_memory_format_are_preserved(dtype, memory_format):
    out = cut(batch(4).to(dtype).contiguous(memory_format=memory_format))
    assert out.dtype == dtype and out.is_contiguous(memory_format=memory_format)


def test_results_depend_on_the_seed_and_on_the_rank(monkeypatch):
    inputs = batch(20)
    assert torch.equal(cut(inputs, seed=1), cut(inputs, seed=1))
    assert not torch.equal(cut(inputs, seed=1), cut(inputs, seed=2))
    here = cut(inputs, seed=1)
    monkeypatch.setattr("torch.distributed.is_initialized", lambda: True)
    monkeypatch.setattr("torch.distributed.get_rank", lambda: 1)
    assert not torch.equal(cut(inputs, seed=1), here)


def test_after_the_preprocessor_the_hole_is_the_mean_of_the_data():
    mean, std = [125.3, 123.0, 113.9], [63.0, 62.1, 66.7]
    augments = dict(augments=dict(type="Cutout", length=64), probs=1.0)
    preprocessor = ClsDataPreprocessor(mean=mean, std=std, num_classes=2, batch_augments=augments)
    # A hole twice as large as the image covers a corner of it at least up to the middle.
    uint8_images = torch.randint(0, 256, (6, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    samples = [DataSample().set_gt_label(n % 2) for n in range(6)]
    out = preprocessor(dict(inputs=uint8_images, data_samples=samples), training=True)["inputs"]
    seen = out * torch.tensor(std).view(3, 1, 1) + torch.tensor(mean).view(3, 1, 1)
    assert torch.equal(seen[:, :, 16, 16], torch.tensor(mean).expand(6, 3))
    untouched = preprocessor(dict(inputs=uint8_images, data_samples=samples))["inputs"]
    assert torch.equal(out[out != 0], untouched[out != 0])


@pytest.mark.parametrize("length", [0, -3, 2.5, "16", True])
def test_a_length_that_is_not_a_positive_integer_is_refused(length):
    with pytest.raises(ValueError, match="length should be a positive integer, in pixels, got "):
        BATCH_AUGMENTS.build(dict(type="Cutout", length=length))
