"""The mixes that are shown equal those of the batch augmentations in training."""

import random

import numpy as np
import pytest
import torch
from mmpretrain.models import ClsDataPreprocessor
from mmpretrain.models.utils.batch_augments import CutMix, Mixup, ResizeMix

from smix_mm.batch_augments import OfficialSaliencyMix, SaliencyMix
from smix_mm.datasets.training_batches import TrainingBatch
from smix_mm.mixing import draw_mix
from smix_mm.saliency import FineGrainedSaliency
from smix_mm.utils.random_state import preserved_random_state
from smix_mm.visualization.browse import compare_examples
from smix_mm.visualization.mixes import find_augment, mix_batch

SAMPLES = 9
UNNORMALIZER = SaliencyMix()


def photographs(samples: int = SAMPLES, height: int = 40, width: int = 48) -> torch.Tensor:
    """Normalised floats whose images are smooth, and no two alike."""
    rough = torch.rand(samples, 3, 5, 6, generator=torch.Generator().manual_seed(3)) * 255
    images = torch.nn.functional.interpolate(rough, (height, width), mode="bicubic").clamp(0, 255).round()
    return (images - UNNORMALIZER.unnormalize.mean.view(1, 3, 1, 1)) / UNNORMALIZER.unnormalize.std.view(1, 3, 1, 1)


def states() -> tuple:
    return random.getstate(), str(np.random.get_state()), torch.get_rng_state().tolist(), torch.initial_seed()


OPTIONS = [
    dict(),
    dict(border="clip", ties="random"),
    dict(source="non_salient", target="salient"),
    dict(source="random", target="non_salient", lam_per="batch"),
    dict(box_per="batch", border="clip"),
    dict(saliency=dict(type="SpectralResidualSaliency"), alpha=0.4),
    dict(label="saliency"),
]


@pytest.mark.parametrize("options", OPTIONS, ids=lambda options: " ".join(map(str, options.values())) or "default")
def test_a_shown_saliencymix_equals_that_of_training(options):
    inputs = photographs()
    augment = SaliencyMix(**options)
    augment.generator = torch.Generator().manual_seed(5)
    mixed, weights = augment(inputs, torch.eye(SAMPLES))
    draw = draw_mix(SAMPLES, augment.options.alpha, torch.Generator().manual_seed(5))
    mix = mix_batch(augment, inputs, UNNORMALIZER, draw, seed=0)
    assert torch.equal(mix.mixed, augment.uint8_images(mixed))
    assert torch.equal(mix.images, augment.uint8_images(inputs))
    own = mix.lam[:, None] * torch.eye(SAMPLES) + (1 - mix.lam)[:, None] * torch.eye(SAMPLES)[mix.partner]
    torch.testing.assert_close(own.float(), weights)
    assert len(mix.changed()) >= 6


@pytest.mark.parametrize("make", [lambda: CutMix(1.0), lambda: OfficialSaliencyMix()], ids=["CutMix", "released code"])
def test_a_shown_cutmix_or_official_saliencymix_equals_that_of_training_with_the_same_seed(make):
    inputs = photographs()
    for seed in range(12):
        mix = mix_batch(make(), inputs, UNNORMALIZER, None, seed)
        np.random.seed(seed)
        torch.manual_seed(seed)
        mixed, weights = make()(inputs.clone(), torch.eye(SAMPLES))
        assert torch.equal(mix.mixed, UNNORMALIZER.uint8_images(mixed))
        for index in range(SAMPLES):
            partner = int(mix.partner[index])
            expected = mix.lam[index] * torch.eye(SAMPLES)[index] + (1 - mix.lam[index]) * torch.eye(SAMPLES)[partner]
            torch.testing.assert_close(expected.float(), weights[index])
            y1, x1, y2, x2 = mix.target_boxes[index].tolist()
            by_hand = mix.images[index].clone()
            by_hand[:, y1:y2, x1:x2] = mix.images[partner][:, y1:y2, x1:x2]
            assert torch.equal(mix.mixed[index], by_hand)


def test_the_box_of_the_released_code_is_centred_on_the_maximum_of_its_map():
    inputs = photographs()
    for seed in range(12):
        mix = mix_batch(OfficialSaliencyMix(), inputs, UNNORMALIZER, None, seed)
        y, x = mix.source_points[0].tolist()
        assert mix.maps[0, y, x] == mix.maps[0].max()
        height, width = (int(side * np.sqrt(1 - mix.drawn_lam)) // 2 for side in (40, 48))
        expected = [max(y - height, 0), max(x - width, 0), min(y + height, 40), min(x + width, 48)]
        assert mix.source_boxes[0].tolist() == expected


def test_cutmix_and_the_released_code_draw_the_same_with_the_same_seed():
    inputs = photographs()
    for seed in range(12):
        cut = mix_batch(CutMix(1.0), inputs, UNNORMALIZER, None, seed)
        official = mix_batch(OfficialSaliencyMix(), inputs, UNNORMALIZER, None, seed)
        assert cut.drawn_lam == official.drawn_lam
        if min(cut.lam.max(), official.lam.max()) < 1:
            assert torch.equal(cut.partner, official.partner)


def test_three_mixes_of_one_pair_with_one_lambda_are_compared():
    inputs, labels = photographs(), [f"name {index}" for index in range(SAMPLES)]
    cuts = {seed: mix_batch(CutMix(1.0), inputs, UNNORMALIZER, None, seed) for seed in range(50)}
    seed, cut = next((seed, cut) for seed, cut in cuts.items() if 0.3 < cut.drawn_lam < 0.6)
    generator = torch.Generator().manual_seed(0)
    example = next(compare_examples(SaliencyMix(), TrainingBatch(inputs, labels), UNNORMALIZER, generator, seed))
    source, *sources, target, by_cutmix, by_released, by_ours = example.panels
    other = int(cut.partner[0])
    assert source.caption.endswith(f"name {other}") and target.caption.endswith("name 0")
    height, width = sources[2].box[2] - sources[2].box[0], sources[2].box[3] - sources[2].box[1]
    assert (height, width) == (int(40 * np.sqrt(1 - cut.drawn_lam)), int(48 * np.sqrt(1 - cut.drawn_lam)))
    for panel, result in zip(sources, (by_cutmix, by_released, by_ours)):
        y1, x1, y2, x2 = panel.box
        expected = target.image.copy()
        expected[y1:y2, x1:x2] = source.image[y1:y2, x1:x2]
        assert np.array_equal(result.image, expected)
        share = 1 - (y2 - y1) * (x2 - x1) / (40 * 48)
        assert result.caption.splitlines() == [f"{share:.2f} name 0", f"+ {1 - round(share, 2):.2f} name {other}"]


def test_showing_a_mix_does_not_change_the_state_of_any_generator():
    inputs = photographs()
    ours = SaliencyMix()
    ours.generator = torch.Generator().manual_seed(1)
    before = states(), ours.generator.get_state().tolist()
    for augment in (ours, SaliencyMix(), CutMix(1.0), OfficialSaliencyMix()):
        draw = draw_mix(SAMPLES, 1.0, torch.Generator().manual_seed(2))
        mix_batch(augment, inputs, UNNORMALIZER, draw, seed=7)
        if augment is not ours:
            assert getattr(augment, "generator", None) is None
        assert "box" not in vars(augment) and "cutmix_bbox_and_lam" not in vars(augment)
    assert (states(), ours.generator.get_state().tolist()) == before


def test_the_random_state_is_restored_after_an_error():
    before = states()
    with pytest.raises(KeyError), preserved_random_state(123):
        first = random.random(), np.random.random(), torch.rand(1).item()
        raise KeyError
    assert states() == before
    with preserved_random_state(123):
        assert (random.random(), np.random.random(), torch.rand(1).item()) == first


@pytest.mark.parametrize(
    "augments, probs, expected",
    [
        (dict(type="SaliencyMix"), 0.5, (SaliencyMix, 0.5)),
        ([dict(type="Mixup", alpha=0.8), dict(type="CutMix", alpha=1.0)], None, (CutMix, 0.5)),
        ([dict(type="Mixup", alpha=0.8), dict(type="OfficialSaliencyMix")], [0.3, 0.2], (OfficialSaliencyMix, 0.2)),
        ([dict(type="Mixup", alpha=0.8), dict(type="ResizeMix", alpha=1.0)], None, None),
    ],
)
def test_the_first_augmentation_that_can_be_shown_is_found(augments, probs, expected):
    settings = dict(augments=augments) if probs is None else dict(augments=augments, probs=probs)
    found, probability = find_augment(ClsDataPreprocessor(num_classes=3, batch_augments=settings))
    if expected is None:
        assert found is None and not isinstance(found, (Mixup, ResizeMix))
    else:
        assert (type(found), probability) == expected
    assert find_augment(ClsDataPreprocessor()) == (None, 0.0)


def test_maps_are_of_the_partner_and_their_maximum_is_marked():
    inputs = photographs()
    draw = draw_mix(SAMPLES, 1.0, torch.Generator().manual_seed(4))
    mix = mix_batch(SaliencyMix(), inputs, UNNORMALIZER, draw, seed=0)
    maps = FineGrainedSaliency()(UNNORMALIZER.uint8_images(inputs))
    assert torch.equal(mix.maps, maps[mix.partner])
    for each, (y, x) in zip(mix.maps, mix.source_points.tolist()):
        assert each[y, x] == each.max()
