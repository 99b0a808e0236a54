"""SaliencyMix inside mmpretrain."""

import numpy as np
import pytest
import torch
from mmpretrain.models import ClsDataPreprocessor
from mmpretrain.registry import BATCH_AUGMENTS
from mmpretrain.structures import DataSample
from torch import Tensor

import smix_mm  # noqa: F401  (registers)
from smix_mm import saliency_mix

MEAN, STD = [125.3, 123.0, 113.9], [63.0, 62.1, 66.7]


def make_images(samples: int = 8) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (samples, 3, 24, 31), dtype=torch.uint8, generator=generator)


def normalize(uint8_images: Tensor) -> Tensor:
    return (uint8_images.float() - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)


def build(**options):
    return BATCH_AUGMENTS.build(dict(type="SaliencyMix", mean=MEAN, std=STD) | options)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_detectors_images_are_those_that_were_normalized(dtype):
    assert torch.equal(build().uint8_images(normalize(make_images()).to(dtype)), make_images())


@pytest.mark.parametrize("dtype, difference", [(torch.float16, 1), (torch.bfloat16, 2)])
def test_half_precision_images_differ_only_by_rounding(dtype, difference):
    found = build().uint8_images(normalize(make_images()).to(dtype)).int()
    assert (found - make_images().int()).abs().max() <= difference


def test_bgr_input_is_converted_for_the_detector():
    assert torch.equal(build(channel_order="bgr").uint8_images(normalize(make_images())), make_images().flip(1))


def test_it_mixes_as_the_function_does_from_its_own_generator():
    torch.manual_seed(11)
    augment, images, scores = build(alpha=0.7, border="clip"), normalize(make_images()), torch.eye(8)
    mixed, mixed_scores = augment(images, scores)
    seed = int(np.random.SeedSequence([11, 0]).generate_state(1, np.uint64)[0]) >> 1
    generator = torch.Generator().manual_seed(seed)
    expected = saliency_mix(images, scores, uint8_images=make_images(), alpha=0.7, border="clip", generator=generator)
    assert torch.equal(mixed, expected[0]) and torch.equal(mixed_scores, expected[1])
    again, _ = augment(images, scores)
    assert not torch.equal(again, mixed)


def test_torchs_and_numpys_global_generators_are_not_used():
    torch.manual_seed(0)
    np.random.seed(0)
    before = torch.get_rng_state(), np.random.get_state()[1].copy()
    build()(normalize(make_images()), torch.eye(8))
    assert torch.equal(before[0], torch.get_rng_state()) and (before[1] == np.random.get_state()[1]).all()


def test_ranks_draw_different_numbers(monkeypatch):
    import torch.distributed as dist

    def run(rank: int) -> Tensor:
        monkeypatch.setattr(dist, "is_initialized", lambda: True)
        monkeypatch.setattr(dist, "get_rank", lambda: rank)
        torch.manual_seed(0)
        return build()(normalize(make_images()), torch.eye(8))[1]

    assert torch.equal(run(0), run(0)) and not torch.equal(run(0), run(1))


def test_mmpretrains_preprocessor_mixes_what_it_normalized_in_rgb():
    augments = dict(augments=dict(type="SaliencyMix", mean=MEAN, std=STD), probs=1.0)
    preprocessor = ClsDataPreprocessor(mean=MEAN, std=STD, to_rgb=True, num_classes=8, batch_augments=augments)
    samples = [DataSample().set_gt_label(number) for number in range(8)]
    torch.manual_seed(3)
    out = preprocessor(dict(inputs=make_images().flip(1), data_samples=samples), training=True)
    torch.manual_seed(3)
    expected, expected_scores = build()(normalize(make_images()), torch.eye(8))
    assert torch.equal(out["inputs"], expected)
    assert torch.equal(torch.stack([sample.gt_score for sample in out["data_samples"]]), expected_scores)


def test_one_hot_integers_are_converted_to_float():
    _, scores = build()(normalize(make_images()), torch.eye(8, dtype=torch.int64))
    assert scores.dtype == torch.float32


def test_a_batch_of_one_and_binary_scores_work():
    images, scores = normalize(make_images(1)), torch.tensor([[1.0]])
    mixed, mixed_scores = build()(images, scores)
    assert torch.equal(mixed, images) and torch.equal(mixed_scores, scores)


def test_channels_last_half_precision_stays_as_it_is():
    images = normalize(make_images()).half().contiguous(memory_format=torch.channels_last)
    mixed, _ = build()(images, torch.eye(8))
    assert mixed.dtype == torch.float16 and mixed.is_contiguous(memory_format=torch.channels_last)


def test_the_error_for_nan_and_infinity_points_to_the_data():
    for value in (float("nan"), float("inf")):
        images = normalize(make_images())
        images[3, 1, 2, 2] = value
        with pytest.raises(ValueError, match="NaN or infinity; check the data"):
            build()(images, torch.eye(8))


def test_the_error_for_a_wrong_mean_and_std_points_to_them():
    with pytest.raises(ValueError, match="same mean and std as the data preprocessor"):
        build(mean=[0, 0, 0], std=[1, 1, 1])(normalize(make_images()), torch.eye(8))


def test_values_a_little_outside_are_allowed_as_half_precision_makes_them():
    images = torch.full((2, 3, 8, 8), 257.0)
    with pytest.raises(ValueError, match="values from 257.0 to 257.0"):
        build(mean=[0, 0, 0], std=[1, 1, 1])(images, torch.eye(2))
    build(mean=[0, 0, 0], std=[1, 1, 1])(images.half(), torch.eye(2))
    build(mean=[0, 0, 0], std=[1, 1, 1])(images - 1.5, torch.eye(2))


@pytest.mark.parametrize(
    "options, message",
    [
        (dict(alpha=0), "alpha should be a positive number, got 0"),
        (dict(source="best"), "source should be one of .*got 'best'"),
        (dict(border="wrap"), "border should be one of .*got 'wrap'"),
        (dict(channel_order="hsv"), "channel_order should be one of 'rgb', 'bgr'.*got 'hsv'"),
        (dict(mean=[1, 2]), r"mean should be three numbers, .* got \[1, 2\]"),
        (dict(std=[1, 0, 1]), r"std should be three positive numbers, got \[1, 0, 1\]"),
        (dict(saliency=dict(type="Nothing")), "type of the saliency detector should be one of .* got 'Nothing'"),
        (dict(saliency=dict()), "type of the saliency detector .* got None"),
    ],
)
def test_a_wrong_option_is_refused_when_the_config_is_built(options, message):
    with pytest.raises(ValueError, match=message):
        build(**options)


@pytest.mark.parametrize("kind", ["SaliencyMix", "OfficialSaliencyMix"])
@pytest.mark.parametrize(
    "images, scores, message",
    [
        (
            torch.zeros(4, 3, 8, 8, dtype=torch.uint8),
            torch.eye(4),
            "batch_inputs should be a floating-point tensor, got torch.uint8",
        ),
        (torch.zeros(4, 1, 8, 8), torch.eye(4), r"batch_inputs should have the shape .* got \(4, 1, 8, 8\)"),
        (torch.zeros(3, 8, 8), torch.eye(3), r"should have the shape \(N, 3, H, W\)"),
        (torch.zeros(4, 3, 8, 8), torch.arange(4), r"targets should be scores \(N, K\)"),
        (torch.zeros(4, 3, 8, 8), torch.eye(3), "targets should have one row for each of the 4 images, got 3"),
    ],
)
def test_a_wrong_batch_is_refused_by_both_augmentations(kind, images, scores, message):
    with pytest.raises((TypeError, ValueError), match=message):
        BATCH_AUGMENTS.build(dict(type=kind))(images, scores)
