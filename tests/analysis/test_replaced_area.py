"""Counting what a batch augmentation replaces: every pixel, whatever its colour, and nothing else."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from smix_mm import saliency_mix
from smix_mm.analysis.replaced_area import AreaCount, count_replaced
from smix_mm.mixing import MixOptions, draw_mix, plan_mix
from smix_mm.saliency import FineGrainedSaliency

SIDE = 32


def images(samples: int = 12, colours: int = 3) -> Tensor:
    """Few colours, so that most pixels that change hands look as before."""
    generator = torch.Generator().manual_seed(0)
    return torch.randint(1, colours + 1, (samples, 3, SIDE, SIDE), generator=generator).float()


def make_images(given: Tensor) -> Tensor:
    return (given.float() * 60).to(torch.uint8)


def mixing(seed: int, **options):
    def augment(inputs: Tensor, scores: Tensor) -> tuple[Tensor, Tensor]:
        generator = torch.Generator().manual_seed(seed)
        return saliency_mix(inputs, scores, uint8_images=make_images(inputs), generator=generator, **options)

    return augment


@pytest.mark.parametrize("source", ["salient", "random"])
@pytest.mark.parametrize("border", ["shift", "clip"])
@pytest.mark.parametrize("box_per", ["sample", "batch"])
def test_it_finds_what_the_plan_of_the_mix_says(source, border, box_per):
    given = images()
    options = MixOptions(source=source, border=border, box_per=box_per)
    for seed in range(5):
        replaced, weight = count_replaced(mixing(seed, source=source, border=border, box_per=box_per), given)
        draw = draw_mix(len(given), 1.0, torch.Generator().manual_seed(seed))
        plan = plan_mix(make_images(given), draw, options, FineGrainedSaliency())
        assert replaced.tolist() == plan.pasted.tolist()
        assert weight.tolist() == pytest.approx((plan.pasted / SIDE**2).tolist(), abs=1e-15)


def test_pixels_count_where_both_images_are_equal_and_images_that_get_nothing_have_none():
    def paste(inputs: Tensor, scores: Tensor) -> tuple[Tensor, Tensor]:
        inputs[0, :, 2:5, 7:11] = inputs[2, :, 2:5, 7:11].clone()
        return inputs, scores

    given = torch.ones(3, 3, SIDE, SIDE)
    replaced, weight = count_replaced(paste, given)
    assert replaced.tolist() == [12, 0, 0] and weight.tolist() == [0, 0, 0]
    assert torch.equal(given, torch.ones(3, 3, SIDE, SIDE)), "in place it is a copy that changes"


def test_a_hole_counts():
    def hole(inputs: Tensor, scores: Tensor) -> tuple[Tensor, Tensor]:
        inputs[:, :, :4, :4] = 0
        return inputs, scores

    assert count_replaced(hole, images(4))[0].tolist() == [16] * 4


def test_what_looks_at_floats_of_32_bits_does_not_see_the_marks():
    seen = []

    def look(inputs: Tensor, scores: Tensor) -> tuple[Tensor, Tensor]:
        seen.append(inputs.float())
        return inputs, scores

    given = torch.randn(200, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    count_replaced(look, given)
    assert torch.equal(seen[0], given)


def test_images_that_cannot_be_marked_are_refused():
    with pytest.raises(ValueError, match="pixels that are 0 in all channels"):
        count_replaced(mixing(0), torch.zeros(2, 3, 8, 8))
    with pytest.raises(TypeError, match="images are torch.float64; wanted float32"):
        count_replaced(mixing(0), images().double())


def test_the_summary_is_that_of_all_images_with_the_batch_as_the_unit_of_the_error():
    batches = [[0, 10, 20, 30], [5, 5, 15, 100], [50, 60, 70]]
    count = AreaCount(pixels=100)
    for batch in batches:
        count.add(torch.tensor(batch), torch.tensor(batch, dtype=torch.float64) / 200)
    every, means = np.concatenate(batches), [np.mean(batch) for batch in batches]
    found = count.summary()
    assert (found["batches"], found["images"]) == (3, 11)
    assert found["area"] == pytest.approx(every.mean() / 100)
    assert found["area_sd"] == pytest.approx(every.std() / 100)
    assert found["area_error"] == pytest.approx(np.std(means, ddof=1) / np.sqrt(3) / 100)
    assert found["weight"] == pytest.approx(every.mean() / 200)
    assert found["weight_sd"] == pytest.approx(every.std() / 200)


def test_one_batch_has_no_error():
    count = AreaCount(pixels=100)
    count.add(torch.tensor([3, 4]), torch.zeros(2))
    assert math.isnan(count.summary()["area_error"])
