"""The control with the maps of other images."""

import pytest
import torch
from mmpretrain.models import RandomBatchAugment
from mmpretrain.registry import BATCH_AUGMENTS
from torch import Tensor

from smix_mm import saliency_mix
from smix_mm.analysis.replaced_area import count_replaced
from smix_mm.batch_augments.saliency_mix import SaliencyMix, ShuffledSaliencyMix
from smix_mm.utils.random_state import get_random_state, set_random_state

OPTIONS = dict(mean=[125.3, 123.0, 113.9], std=[63.0, 62.1, 66.7])
UINT8_IMAGES = torch.randint(0, 256, (16, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
SCORES = torch.eye(16)


def normalized(uint8_images: Tensor) -> Tensor:
    mean, std = (torch.tensor(OPTIONS[name]).view(3, 1, 1) for name in ("mean", "std"))
    return (uint8_images.float() - mean) / std


@pytest.mark.parametrize("options", [{}, dict(border="clip"), dict(box_per="batch"), dict(ties="random")])
def test_each_patch_lies_around_the_peak_of_the_image_before_it(options):
    augment = BATCH_AUGMENTS.build(dict(type="ShuffledSaliencyMix", **OPTIONS, **options))
    augment.generator = torch.Generator().manual_seed(3)
    mixed, scores = augment(normalized(UINT8_IMAGES), SCORES)
    before = UINT8_IMAGES[torch.arange(16) - 1]
    expected = saliency_mix(
        normalized(UINT8_IMAGES), SCORES, uint8_images=before, generator=torch.Generator().manual_seed(3), **options
    )
    assert torch.equal(mixed, expected[0]) and torch.equal(scores, expected[1])
    own = saliency_mix(
        normalized(UINT8_IMAGES),
        SCORES,
        uint8_images=UINT8_IMAGES,
        generator=torch.Generator().manual_seed(3),
        **options,
    )
    assert not torch.equal(mixed, own[0])


def test_with_shift_the_areas_equal_those_of_saliencymix_and_of_random_places():
    areas = []
    for augment in (SaliencyMix(**OPTIONS), ShuffledSaliencyMix(**OPTIONS), SaliencyMix(source="random", **OPTIONS)):
        torch.manual_seed(1)
        areas.append(torch.stack([count_replaced(augment, normalized(UINT8_IMAGES))[0] for _ in range(10)]))
    assert torch.equal(areas[0], areas[1]) and torch.equal(areas[0], areas[2])
    assert len(areas[0].unique()) > 20


def test_its_generator_is_saved_and_restored():
    model = torch.nn.Module()
    model.batch_augments = RandomBatchAugment(dict(type="ShuffledSaliencyMix", **OPTIONS), probs=1.0)
    augment = model.batch_augments.augments[0]
    augment(normalized(UINT8_IMAGES), SCORES)
    state = get_random_state(model)
    expected = augment(normalized(UINT8_IMAGES), SCORES)[0]
    assert not torch.equal(expected, augment(normalized(UINT8_IMAGES), SCORES)[0])
    set_random_state(model, state)
    assert torch.equal(augment(normalized(UINT8_IMAGES), SCORES)[0], expected)


def test_it_is_not_treated_as_a_saliencymix():
    from smix_mm.visualization.mixes import can_be_shown

    assert not can_be_shown(ShuffledSaliencyMix(**OPTIONS))


def test_a_wrong_option_is_refused():
    with pytest.raises(ValueError, match="border"):
        ShuffledSaliencyMix(border="wrap")
