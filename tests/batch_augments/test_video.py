"""SaliencyMix as MMAction2's blending. (MMAction2 itself: tests/other_projects.)"""

import functools

import pytest
import torch
from torch import Tensor

from smix_mm.mixing import saliency_mix_video
from smix_mm.mixing.plan import own_generator

SAMPLES, FRAMES, HEIGHT, WIDTH = 6, 5, 24, 31
MEAN, STD = [123.675, 116.28, 103.53], [58.395, 57.12, 57.375]


def clips(samples: int = SAMPLES, frames: int = FRAMES) -> Tensor:
    shape = (samples, frames, 3, HEIGHT, WIDTH)
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(7))


class Sample:
    """As much of MMAction2's ActionDataSample as its blendings use."""

    def __init__(self, label: Tensor) -> None:
        self.gt_label = label

    def set_gt_label(self, label: Tensor) -> None:
        self.gt_label = label


def blending(**options):
    return child_registry().build(dict(type="VideoSaliencyMix", num_classes=SAMPLES) | options)


@functools.lru_cache(None)
def child_registry():
    """As far as building goes, MMAction2's registry of models: a child of mmengine's."""
    pytest.importorskip("mmengine")
    from mmengine.registry import MODELS, Registry

    import smix_mm.batch_augments.video  # noqa: F401

    return Registry("model", parent=MODELS, scope="video_project")


def normalize(uint8_images: Tensor) -> Tensor:
    """(N, T, 3, H, W), as MMAction2's preprocessor does it."""
    return (uint8_images.float() - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)


def test_it_mixes_normalized_clips_of_2d_recognisers_as_the_function_does():
    torch.manual_seed(5)
    augment, samples = blending(), [Sample(torch.tensor([number])) for number in range(SAMPLES)]
    images = normalize(clips())
    before = images.clone()
    mixed, same = augment(images, samples)
    torch.manual_seed(5)
    expected = saliency_mix_video(images, torch.eye(SAMPLES), uint8_images=clips(), generator=own_generator())
    assert torch.equal(mixed, expected[0]) and torch.equal(images, before)
    assert same is samples and torch.equal(torch.stack([sample.gt_label for sample in samples]), expected[1])
    assert not torch.equal(augment(images, [Sample(torch.tensor([0]))] * SAMPLES)[0], mixed)


def test_it_gives_all_clips_of_a_video_one_box_for_3d_recognisers():
    """(N, M, 3, T, H, W) holds the same frames as (N, M * T, 3, H, W), so the two are mixed alike."""
    frames = clips(frames=6)
    torch.manual_seed(5)
    flat, scores = blending().do_blending(normalize(frames), torch.eye(SAMPLES))
    torch.manual_seed(5)
    stacked = normalize(frames).view(SAMPLES, 2, 3, 3, HEIGHT, WIDTH).transpose(2, 3)
    mixed, mixed_scores = blending().do_blending(stacked.contiguous(), torch.arange(SAMPLES))
    assert torch.equal(mixed.transpose(2, 3).flatten(1, 2), flat) and torch.equal(mixed_scores, scores)


def test_scores_of_several_classes_are_mixed():
    scores = torch.eye(SAMPLES) + torch.eye(SAMPLES)[0]
    torch.manual_seed(5)
    _, mixed = blending()(normalize(clips()), [Sample(score) for score in scores])
    torch.manual_seed(5)
    _, expected = blending().do_blending(normalize(clips()), scores)
    assert torch.equal(torch.stack([sample.gt_label for sample in mixed]), expected)
    assert not torch.equal(expected, scores)


@pytest.mark.parametrize(
    "images, labels, error, message",
    [
        (
            normalize(clips())[:, 0],
            torch.eye(SAMPLES),
            ValueError,
            r"the shape \(N, T, 3, H, W\) or \(N, M, 3, T, H, W\)",
        ),
        (clips(), torch.eye(SAMPLES), TypeError, "imgs should be a floating-point tensor, got torch.uint8"),
        (clips().float(), torch.eye(SAMPLES), ValueError, "give VideoSaliencyMix the same mean and std as"),
        (normalize(clips()), torch.eye(SAMPLES)[:, :3], ValueError, "label should have num_classes=6 columns, got 3"),
        (normalize(clips()), torch.arange(SAMPLES) + 1, ValueError, "from 0 to 5 for num_classes=6, got 1 to 6"),
    ],
)
def test_a_wrong_batch_is_refused(images, labels, error, message):
    with pytest.raises(error, match=message):
        blending().do_blending(images, labels)


@pytest.mark.parametrize(
    "options, message",
    [
        (dict(num_classes=0), "num_classes should be a positive integer, got 0"),
        (dict(border="cut"), "border should be one of .*got 'cut'"),
        (dict(std=[1, 0, 1]), "three positive numbers"),
    ],
)
def test_a_wrong_option_of_the_blending_is_refused_when_it_is_built(options, message):
    with pytest.raises(ValueError, match=message):
        blending(**options)
