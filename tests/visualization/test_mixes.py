"""What is shown of a mix is what the batch augmentations really do."""

import random

import numpy as np
import pytest
import torch
from mmpretrain.models import ClsDataPreprocessor
from mmpretrain.models.utils.batch_augments import CutMix, Mixup, ResizeMix

from smix_mm.batch_augments import OfficialSaliencyMix, SaliencyMix
from smix_mm.mixing import draw_mix
from smix_mm.saliency import FineGrainedSaliency
from smix_mm.utils.random_state import preserved_random_state
from smix_mm.visualization.examples import compare_example
from smix_mm.visualization.mixes import find_augment, mix_as_released, mix_batch, mix_with_cutmix

SAMPLES = 9
LOOKER = SaliencyMix()


def photographs(samples: int = SAMPLES, height: int = 40, width: int = 48) -> torch.Tensor:
    """Normalised floats whose images are smooth, and no two alike."""
    rough = torch.rand(samples, 3, 5, 6, generator=torch.Generator().manual_seed(3)) * 255
    images = torch.nn.functional.interpolate(rough, (height, width), mode="bicubic").clamp(0, 255).round()
    return (images - LOOKER.unnormalize.mean.view(1, 3, 1, 1)) / LOOKER.unnormalize.std.view(1, 3, 1, 1)


def states() -> tuple:
    return random.getstate(), str(np.random.get_state()), torch.get_rng_state().tolist(), torch.initial_seed()


OPTIONS = [
    dict(),
    dict(border="clip", ties="random"),
    dict(source="non_salient", target="salient"),
    dict(source="random", target="non_salient", lam_per="batch"),
    dict(box_per="batch", border="clip"),
    dict(saliency=dict(type="SpectralResidualSaliency"), alpha=0.4),
]


@pytest.mark.parametrize("options", OPTIONS, ids=lambda options: " ".join(map(str, options.values())) or "default")
def test_a_shown_saliency_mix_is_the_batch_that_training_would_get(options):
    inputs = photographs()
    augment = SaliencyMix(**options)
    augment.generator = torch.Generator().manual_seed(5)
    mixed, weights = augment(inputs, torch.eye(SAMPLES))
    draw = draw_mix(SAMPLES, augment.options.alpha, torch.Generator().manual_seed(5))
    mix = mix_batch(augment, inputs, LOOKER, draw, seed=0)
    assert torch.equal(mix.mixed, augment.uint8_images(mixed))
    assert torch.equal(mix.images, augment.uint8_images(inputs))
    own = mix.lam[:, None] * torch.eye(SAMPLES) + (1 - mix.lam)[:, None] * torch.eye(SAMPLES)[mix.partner]
    torch.testing.assert_close(own.float(), weights)
    assert len(mix.shown()) >= 6


@pytest.mark.parametrize("make", [lambda: CutMix(1.0), lambda: OfficialSaliencyMix()], ids=["CutMix", "released code"])
def test_a_shown_mix_of_the_others_is_what_they_do_with_the_same_seeds(make):
    inputs = photographs()
    for seed in range(12):
        mix = mix_batch(make(), inputs, LOOKER, None, seed)
        np.random.seed(seed)
        torch.manual_seed(seed)
        mixed, weights = make()(inputs.clone(), torch.eye(SAMPLES))
        assert torch.equal(mix.mixed, LOOKER.uint8_images(mixed))
        for index in range(SAMPLES):
            partner = int(mix.partner[index])
            expected = mix.lam[index] * torch.eye(SAMPLES)[index] + (1 - mix.lam[index]) * torch.eye(SAMPLES)[partner]
            torch.testing.assert_close(expected.float(), weights[index])
            y1, x1, y2, x2 = mix.target_boxes[index].tolist()
            by_hand = mix.images[index].clone()
            by_hand[:, y1:y2, x1:x2] = mix.images[partner][:, y1:y2, x1:x2]
            assert torch.equal(mix.mixed[index], by_hand)


def test_the_map_of_the_released_code_peaks_where_its_box_lies():
    inputs = photographs()
    for seed in range(12):
        mix, drawn = mix_as_released(OfficialSaliencyMix(), inputs, LOOKER, seed)
        y, x = mix.source_points[0].tolist()
        assert mix.maps[0, y, x] == mix.maps[0].max()
        height, width = (int(side * np.sqrt(1 - drawn)) // 2 for side in (40, 48))
        expected = [max(y - height, 0), max(x - width, 0), min(y + height, 40), min(x + width, 48)]
        assert mix.source_boxes[0].tolist() == expected


def test_cutmix_and_the_released_code_draw_the_same_with_the_same_seed():
    inputs = photographs()
    for seed in range(12):
        cut, lam = mix_with_cutmix(CutMix(1.0), inputs, LOOKER, seed)
        official, lam_again = mix_as_released(OfficialSaliencyMix(), inputs, LOOKER, seed)
        assert lam == lam_again
        if min(cut.lam.max(), official.lam.max()) < 1:
            assert torch.equal(cut.partner, official.partner)


def test_compared_are_three_mixes_of_one_pair_with_one_lambda():
    inputs, labels = photographs(), [f"name {index}" for index in range(SAMPLES)]
    seed = next(seed for seed in range(50) if 0.3 < mix_with_cutmix(CutMix(1.0), inputs, LOOKER, seed)[1] < 0.6)
    cut, lam = mix_with_cutmix(CutMix(1.0), inputs, LOOKER, seed)
    draw = draw_mix(SAMPLES, 1.0, torch.Generator().manual_seed(0))
    example = compare_example(inputs, labels, SaliencyMix(), LOOKER, draw, seed)
    source, *uint8_images, target, by_cutmix, by_released, by_ours = example.panels
    other = int(cut.partner[0])
    assert source.caption.endswith(f"name {other}") and target.caption.endswith("name 0")
    height, width = uint8_images[2].box[2] - uint8_images[2].box[0], uint8_images[2].box[3] - uint8_images[2].box[1]
    assert (height, width) == (int(40 * np.sqrt(1 - lam)), int(48 * np.sqrt(1 - lam)))
    for panel, result in zip(uint8_images, (by_cutmix, by_released, by_ours)):
        y1, x1, y2, x2 = panel.box
        expected = target.image.copy()
        expected[y1:y2, x1:x2] = source.image[y1:y2, x1:x2]
        assert np.array_equal(result.image, expected)
        share = 1 - (y2 - y1) * (x2 - x1) / (40 * 48)
        assert result.caption.splitlines() == [f"{share:.2f} name 0", f"+ {1 - round(share, 2):.2f} name {other}"]


def test_showing_leaves_every_generator_where_it_was():
    inputs = photographs()
    ours = SaliencyMix()
    ours.generator = torch.Generator().manual_seed(1)
    before = states(), ours.generator.get_state().tolist()
    for augment in (ours, SaliencyMix(), CutMix(1.0), OfficialSaliencyMix()):
        draw = draw_mix(SAMPLES, 1.0, torch.Generator().manual_seed(2))
        mix_batch(augment, inputs, LOOKER, draw, seed=7)
        if augment is not ours:
            assert getattr(augment, "generator", None) is None
        assert "box" not in vars(augment) and "cutmix_bbox_and_lam" not in vars(augment)
    assert (states(), ours.generator.get_state().tolist()) == before


def test_the_random_state_comes_back_after_an_error_too():
    before = states()
    with pytest.raises(KeyError), preserved_random_state(123):
        first = random.random(), np.random.random(), torch.rand(1).item()
        raise KeyError
    assert states() == before
    with preserved_random_state(123):
        assert (random.random(), np.random.random(), torch.rand(1).item()) == first


@pytest.mark.parametrize(
    "augments, probs, wanted",
    [
        (dict(type="SaliencyMix"), 0.5, (SaliencyMix, 0.5)),
        ([dict(type="Mixup", alpha=0.8), dict(type="CutMix", alpha=1.0)], None, (CutMix, 0.5)),
        ([dict(type="Mixup", alpha=0.8), dict(type="OfficialSaliencyMix")], [0.3, 0.2], (OfficialSaliencyMix, 0.2)),
        ([dict(type="Mixup", alpha=0.8), dict(type="ResizeMix", alpha=1.0)], None, None),
    ],
)
def test_the_first_augmentation_that_can_be_shown_is_found(augments, probs, wanted):
    settings = dict(augments=augments) if probs is None else dict(augments=augments, probs=probs)
    found, probability = find_augment(ClsDataPreprocessor(num_classes=3, batch_augments=settings))
    if wanted is None:
        assert found is None and not isinstance(found, (Mixup, ResizeMix))
    else:
        assert (type(found), probability) == wanted
    assert find_augment(ClsDataPreprocessor()) == (None, 0.0)


def test_maps_belong_to_the_partner_and_their_peak_is_marked():
    inputs = photographs()
    draw = draw_mix(SAMPLES, 1.0, torch.Generator().manual_seed(4))
    mix = mix_batch(SaliencyMix(), inputs, LOOKER, draw, seed=0)
    maps = FineGrainedSaliency()(LOOKER.uint8_images(inputs))
    assert torch.equal(mix.maps, maps[mix.partner])
    for each, (y, x) in zip(mix.maps, mix.source_points.tolist()):
        assert each[y, x] == each.max()
