"""Labels by visible saliency: the boxes and pixels stay, the weights follow the maps."""

import numpy as np
import pytest
import torch
from torch import Tensor

from smix_mm import SaliencyMixTransform, saliency_mix, saliency_mix_video
from smix_mm.mixing import MixOptions, draw_mix, plan_mix
from smix_mm.mixing.patch import saliency_weights
from smix_mm.saliency import FineGrainedSaliency, SaliencyDetector, SpectralResidualSaliency


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def make_images(samples: int = 8) -> Tensor:
    return torch.randint(0, 256, (samples, 3, 18, 25), dtype=torch.uint8, generator=generator(4))


def weights_by_hand(maps: np.ndarray, plan) -> list[float]:
    found = []
    for n in range(len(maps)):
        other = int(plan.partner[n])
        y1, x1, y2, x2 = plan.target_boxes[n].tolist()
        visible = maps[n].sum() - maps[n][y1:y2, x1:x2].sum()
        own = visible / maps[n].sum()
        y1, x1, y2, x2 = plan.source_boxes[n].tolist()
        pasted = maps[other][y1:y2, x1:x2].sum() / maps[other].sum()
        found.append(own / (own + pasted))
    return found


@pytest.mark.parametrize("detector", [FineGrainedSaliency(), SpectralResidualSaliency()])
@pytest.mark.parametrize(
    "options",
    [
        {},
        dict(target="non_salient", border="clip", ties="random"),
        dict(source="random"),
        dict(box_per="batch", lam_per="batch", border="clip"),
    ],
)
def test_a_label_weighs_the_share_of_its_images_saliency_that_is_visible(detector, options):
    images, scores = make_images(), torch.eye(8, dtype=torch.float64)
    for seed in range(4):
        by_area = saliency_mix(images, scores, detector=detector, generator=generator(seed), **options)
        mixed, found = saliency_mix(
            images, scores, detector=detector, generator=generator(seed), label="saliency", **options
        )
        assert torch.equal(mixed, by_area[0]) and not torch.equal(found, by_area[1])
        plan = plan_mix(images, draw_mix(8, 1.0, generator(seed)), MixOptions(**options), detector)
        expected = torch.tensor(weights_by_hand(detector(images).double().numpy(), plan), dtype=torch.float64)
        torch.testing.assert_close(
            found, expected[:, None] * scores + (1 - expected)[:, None] * scores[plan.partner], atol=1e-12, rtol=0
        )
        torch.testing.assert_close(found.sum(1), torch.ones(8, dtype=torch.float64))


def boxes(*corners: list[int]) -> Tensor:
    return torch.tensor(corners)


def weights(maps, source, target) -> list[float]:
    """Of two images that are each other's partner."""
    return saliency_weights(torch.tensor(maps), torch.tensor([1, 0]), source, target).tolist()


NOTHING, WHOLE, CORNER = [0, 0, 0, 0], [0, 0, 2, 2], [0, 0, 1, 1]


def test_nothing_pasted_gives_the_own_label_and_everything_the_partners():
    maps = [[[0.1, 0.3], [0.7, 0.2]], [[0.3, 0.3], [0.1, 0.6]]]
    assert weights(maps, boxes(NOTHING, WHOLE), boxes(NOTHING, WHOLE)) == [1.0, 0.0]


def test_a_map_of_zeros_counts_as_constant():
    maps = [[[0.0, 0.0], [0.0, 0.0]], [[0.5, 0.0], [0.0, 0.5]]]
    # 3/4 of the first image remain, and half of the second one's saliency is pasted; and the other way round.
    found = weights(maps, boxes(CORNER, CORNER), boxes(CORNER, CORNER))
    assert found == pytest.approx([0.75 / 1.25, 0.5 / 0.75], abs=1e-15)


def test_where_no_saliency_is_visible_the_labels_are_weighed_by_area():
    maps = [[[1.0, 0.0], [0.0, 0.0]], [[0.0, 1.0], [0.0, 0.0]]]
    # All saliency of the first is covered, by a corner of the second that has none.
    assert weights(maps, boxes(CORNER, NOTHING), boxes(CORNER, NOTHING)) == [0.75, 1.0]


def test_an_image_that_is_its_own_partner_keeps_its_label():
    images = make_images(1)
    mixed, scores = saliency_mix(images, torch.tensor([[0.25, 0.75]]), label="saliency")
    assert torch.equal(mixed, images) and torch.equal(scores, torch.tensor([[0.25, 0.75]]))
    flat = torch.zeros(3, 3, 8, 8, dtype=torch.uint8)
    by_area = saliency_mix(flat, torch.eye(3), generator=generator(1))[1]
    found = saliency_mix(flat, torch.eye(3), generator=generator(1), label="saliency")[1]
    torch.testing.assert_close(found, by_area)


def test_the_transform_and_the_video_function_have_the_option():
    images = make_images()
    torch.manual_seed(0)
    found = SaliencyMixTransform(label="saliency")(images, torch.eye(8))[1]
    torch.manual_seed(0)
    assert not torch.equal(found, SaliencyMixTransform()(images, torch.eye(8))[1])
    clip = saliency_mix_video(images[:, None], torch.eye(8), label="saliency", generator=generator())
    still = saliency_mix(images, torch.eye(8), label="saliency", generator=generator())
    assert torch.equal(clip[0][:, 0], still[0]) and torch.equal(clip[1], still[1])
    clips = images.view(4, 2, 3, 18, 25)
    mixed, scores = saliency_mix_video(clips, torch.eye(4), label="saliency", generator=generator())
    assert mixed.shape == clips.shape and torch.allclose(scores.sum(1), torch.ones(4))


def test_maps_are_computed_once():
    class Counting(SaliencyDetector):
        calls = 0

        def saliency(self, images: Tensor) -> Tensor:
            self.calls += 1
            return images.float().mean(1) / 255

    detector = Counting()
    saliency_mix(make_images(), torch.eye(8), detector=detector, label="saliency", target="salient")
    assert detector.calls == 1
