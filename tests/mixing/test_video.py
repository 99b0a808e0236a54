"""SaliencyMix of video clips."""

import pytest
import torch
from torch import Tensor

from smix_mm import saliency_mix
from smix_mm.mixing import MixOptions, draw_mix, plan_mix, saliency_mix_video
from smix_mm.saliency import FineGrainedSaliency, SaliencyDetector

SAMPLES, FRAMES, HEIGHT, WIDTH = 6, 5, 24, 31


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def clips(samples: int = SAMPLES, frames: int = FRAMES) -> Tensor:
    shape = (samples, frames, 3, HEIGHT, WIDTH)
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator(7))


def coded(channels: int = 3) -> Tensor:
    """float64 clips whose every value tells its clip, frame, channel, row and column."""
    size = SAMPLES * FRAMES * channels * HEIGHT * WIDTH
    return torch.arange(size, dtype=torch.float64).view(SAMPLES, FRAMES, channels, HEIGHT, WIDTH)


class Brightness(SaliencyDetector):
    """The red channel is the map; it counts its images."""

    images_seen = 0

    def saliency(self, images: Tensor) -> Tensor:
        self.images_seen += len(images)
        return images[:, 0].float() / 255


def test_one_box_found_on_the_middle_frame_of_the_partner_serves_every_frame():
    mixed, targets = saliency_mix_video(coded(), torch.eye(SAMPLES), uint8_images=clips(), generator=generator())
    uint8_images = clips()[:, FRAMES // 2]
    plan = plan_mix(uint8_images, draw_mix(SAMPLES, 1.0, generator()), MixOptions(), FineGrainedSaliency())
    expected = coded()
    for sample, (y1, x1, y2, x2) in enumerate(plan.target_boxes.tolist()):
        expected[sample, :, :, y1:y2, x1:x2] = coded()[plan.partner[sample], :, :, y1:y2, x1:x2]
    assert torch.equal(mixed, expected) and mixed.shape == coded().shape
    torch.testing.assert_close(targets.diagonal().double(), plan.lam, rtol=0, atol=1e-7)


@pytest.mark.parametrize("options", [{}, dict(target="salient"), dict(border="clip", box_per="batch")])
def test_a_clip_of_one_frame_is_mixed_as_an_image(options):
    uint8_images, scores = clips()[:, 0], torch.eye(SAMPLES)
    expected = saliency_mix(uint8_images, scores, generator=generator(3), **options)
    mixed = saliency_mix_video(uint8_images[:, None], scores, generator=generator(3), **options)
    assert torch.equal(mixed[0][:, 0], expected[0]) and torch.equal(mixed[1], expected[1])


def test_the_weight_of_a_label_is_the_share_of_its_own_pixels_in_the_clip():
    mixed, targets = saliency_mix_video(
        coded(),
        torch.eye(SAMPLES, dtype=torch.float64),
        uint8_images=clips(),
        target="non_salient",
        generator=generator(1),
    )
    own = (mixed == coded()).flatten(1).double().mean(1)
    torch.testing.assert_close(targets.diagonal(), own, rtol=0, atol=1e-15)
    assert len(set(own.tolist())) > 3


def test_only_the_middle_frame_is_seen():
    """A spot at one place in all frames but the middle one, another elsewhere in the middle one."""
    uint8_images = torch.zeros(2, FRAMES, 3, HEIGHT, WIDTH, dtype=torch.uint8)
    uint8_images[:, :, :, 4, 5] = 200
    uint8_images[:, FRAMES // 2, :, 4, 5] = 0
    uint8_images[:, FRAMES // 2, :, 19, 25] = 255
    images = torch.zeros(2, FRAMES, 1, HEIGHT, WIDTH)
    images[1] = 1
    assert draw_mix(2, 1.0, generator(2)).partner.tolist() == [1, 0]
    detector, options = Brightness(), dict(uint8_images=uint8_images, generator=generator(2))
    mixed, _ = saliency_mix_video(images, torch.eye(2), detector=detector, **options)
    assert detector.images_seen == 2
    assert mixed[0, 0, 0, 19, 25] == 1 and mixed[0, 0, 0, 4, 5] == 0


def test_inputs_are_not_changed_and_dtype_is_preserved():
    for dtype in (torch.uint8, torch.float16, torch.float32):
        given = (clips() / 255 if dtype.is_floating_point else clips()).to(dtype)
        before = given.clone()
        mixed, _ = saliency_mix_video(given, torch.arange(SAMPLES), num_classes=SAMPLES, generator=generator())
        assert mixed.dtype == dtype and torch.equal(given, before) and not torch.equal(mixed, before)
    strided = clips().permute(0, 2, 1, 3, 4).contiguous().permute(0, 2, 1, 3, 4)
    one = saliency_mix_video(strided, torch.eye(SAMPLES), generator=generator())[0]
    assert torch.equal(one, saliency_mix_video(clips(), torch.eye(SAMPLES), generator=generator())[0])


@pytest.mark.parametrize(
    "change, error, message",
    [
        (dict(clips=[1]), TypeError, "clips should be a floating-point or uint8 tensor, got list"),
        (dict(clips=clips()[0]), ValueError, r"clips should have the shape \(N, T, C, H, W\), .* got \(5, 3, 24, 31\)"),
        (dict(clips=clips()[:, :0]), ValueError, "T at least 1"),
        (dict(clips=clips()[:, :, :2]), ValueError, r"clips should have 3 channels \(RGB\) .* got 2"),
        (dict(clips=clips() * 2.0), ValueError, "clips should be uint8, or floats from 0 to 1"),
        (
            dict(uint8_images=clips()[:2]),
            ValueError,
            r"uint8_images should have the number and size of clips, .* got \(2, ",
        ),
        (dict(uint8_images=clips()[:, 0]), ValueError, r"uint8_images should have the shape \(N, T, 3, H, W\)"),
        (dict(uint8_images=clips() / 255), TypeError, "uint8_images should be a uint8 tensor, got torch.float32"),
        (dict(source="red"), ValueError, "source should be one of .*got 'red'"),
        (dict(alpha=0), ValueError, "alpha should be a positive number, got 0"),
    ],
)
def test_a_wrong_argument_raises_an_error_with_the_expected_and_the_given_value(change, error, message):
    arguments = dict(clips=clips(), targets=torch.eye(SAMPLES)) | change
    with pytest.raises(error, match=message):
        saliency_mix_video(arguments.pop("clips"), arguments.pop("targets"), **arguments)


def test_an_empty_batch_stays_empty():
    mixed, targets = saliency_mix_video(clips()[:0], torch.zeros(0, 4))
    assert mixed.shape == (0, FRAMES, 3, HEIGHT, WIDTH) and targets.shape == (0, 4)


def test_grey_clips_are_mixed_as_rgb_clips_of_three_equal_channels():
    grey = clips()[:, :, :1]
    mixed, targets = saliency_mix_video(grey, torch.eye(SAMPLES), generator=generator())
    expected = saliency_mix_video(grey.expand(-1, -1, 3, -1, -1), torch.eye(SAMPLES), generator=generator())
    assert torch.equal(mixed, expected[0][:, :, :1]) and torch.equal(targets, expected[1])
