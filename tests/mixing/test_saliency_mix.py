"""The method as a function: what comes from where, and with which weight."""

import itertools

import numpy as np
import pytest
import torch
from torch import Tensor

from smix_mm import saliency_mix
from smix_mm.mixing import MixOptions, draw_mix, plan_mix
from smix_mm.saliency import FineGrainedSaliency, OpenCVSaliency

SAMPLES, CLASSES, HEIGHT, WIDTH = 12, 5, 40, 53


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def make_images(samples: int = SAMPLES, height: int = HEIGHT, width: int = WIDTH) -> Tensor:
    return torch.randint(0, 256, (samples, 3, height, width), dtype=torch.uint8, generator=generator(7))


def coded(samples: int = SAMPLES, height: int = HEIGHT, width: int = WIDTH) -> Tensor:
    """float64 images whose every value tells its image, channel, row and column."""
    return torch.arange(samples * 3 * height * width, dtype=torch.float64).view(samples, 3, height, width)


def scores(samples: int = SAMPLES) -> Tensor:
    return torch.eye(CLASSES)[torch.arange(samples) % CLASSES]


OPTIONS = [
    dict(source=source, target=target, border=border, box_per=box_per, ties=ties)
    for source, target, border, box_per, ties in itertools.product(
        ("salient", "non_salient", "random"),
        ("corresponding", "salient", "non_salient"),
        ("shift", "clip"),
        ("sample", "batch"),
        ("first", "random"),
    )
]


@pytest.mark.parametrize("options", OPTIONS, ids=lambda options: "-".join(options.values()))
def test_every_mixed_pixel_is_the_images_own_or_its_partners_as_planned(options):
    uint8_images, images, targets = make_images(), coded(), scores()
    mixed, mixed_targets = saliency_mix(images, targets, uint8_images=uint8_images, generator=generator(), **options)

    draw = draw_mix(SAMPLES, 1.0, generator())
    plan = plan_mix(uint8_images, draw, MixOptions(**options), OpenCVSaliency())
    for sample in range(SAMPLES):
        partner = int(plan.partner[sample])
        expected = images[sample].clone()
        (a, b, c, d), (e, f, g, h) = plan.source_boxes[sample].tolist(), plan.target_boxes[sample].tolist()
        expected[:, e:g, f:h] = images[partner][:, a:c, b:d]
        assert torch.equal(mixed[sample], expected)
        if options["target"] == "corresponding":
            assert (a, b, c, d) == (e, f, g, h)
        pasted = (g - e) * (h - f) / (HEIGHT * WIDTH)
        expected_targets = (1 - pasted) * targets[sample] + pasted * targets[partner]
        torch.testing.assert_close(mixed_targets[sample], expected_targets, rtol=0, atol=1e-7)
        assert 0 <= e <= g <= HEIGHT and 0 <= f <= h <= WIDTH and 0 <= a <= c <= HEIGHT and 0 <= b <= d <= WIDTH


def test_the_weight_of_the_partner_is_the_share_of_pixels_that_changed():
    images, targets = coded(), torch.eye(SAMPLES, dtype=torch.float64)
    mixed, mixed_targets = saliency_mix(images, targets, uint8_images=make_images(), generator=generator())
    changed = (mixed != images).any(1).flatten(1).sum(1)
    own = mixed_targets.diagonal()
    assert torch.equal(own, (HEIGHT * WIDTH - changed).double() / (HEIGHT * WIDTH))
    assert len(set(changed.tolist())) > SAMPLES // 2


def test_the_patch_lies_around_opencvs_peak_and_whole_inside_the_image():
    uint8_images = make_images()
    draw = draw_mix(SAMPLES, 1.0, generator())
    plan = plan_mix(uint8_images, draw, MixOptions(), FineGrainedSaliency())
    for sample in range(SAMPLES):
        partner = int(plan.partner[sample])
        if partner == sample:
            continue
        saliency_map = OpenCVSaliency()(uint8_images[partner : partner + 1])[0].numpy()
        peak = np.unravel_index(saliency_map.argmax(), saliency_map.shape)
        ratio = np.sqrt(1 - draw.lam[sample].item())
        for axis, side in enumerate((HEIGHT, WIDTH)):
            size = int(side * ratio)
            first = min(max(int(peak[axis]) - size // 2, 0), side - size)
            assert plan.source_boxes[sample, axis] == first
            assert plan.source_boxes[sample, axis + 2] == first + size


@pytest.mark.parametrize("where, index", [("salient", "argmax"), ("non_salient", "argmin")])
def test_clip_cuts_the_patch_at_the_borders_around_opencvs_extreme(where, index):
    uint8_images = make_images()
    draw = draw_mix(SAMPLES, 1.0, generator(3))
    plan = plan_mix(uint8_images, draw, MixOptions(source=where, border="clip"), FineGrainedSaliency())
    for sample in range(SAMPLES):
        partner = int(plan.partner[sample])
        if partner == sample:
            continue
        saliency_map = OpenCVSaliency()(uint8_images[partner : partner + 1])[0].numpy()
        point = np.unravel_index(getattr(saliency_map, index)(), saliency_map.shape)
        ratio = np.sqrt(1 - draw.lam[sample].item())
        for axis, side in enumerate((HEIGHT, WIDTH)):
            half = int(side * ratio) // 2
            assert plan.source_boxes[sample, axis] == max(int(point[axis]) - half, 0)
            assert plan.source_boxes[sample, axis + 2] == min(int(point[axis]) + half, side)


def test_one_box_per_batch_comes_from_the_first_partner_and_has_one_lambda():
    images, targets = coded(), torch.eye(SAMPLES)
    plan = plan_mix(
        make_images(), draw_mix(SAMPLES, 1.0, generator(1)), MixOptions(box_per="batch"), FineGrainedSaliency()
    )
    single = plan_mix(make_images(), draw_mix(SAMPLES, 1.0, generator(1)), MixOptions(), FineGrainedSaliency())
    alone = plan.partner != torch.arange(SAMPLES)
    assert plan.partner[0] != 0
    assert (plan.source_boxes[alone] == single.source_boxes[0]).all()
    _, mixed_targets = saliency_mix(
        images, targets, uint8_images=make_images(), box_per="batch", generator=generator(1)
    )
    assert len(set(mixed_targets.diagonal()[alone].tolist())) == 1


def test_one_lambda_per_batch_gives_patches_of_one_size_at_different_places():
    plan = plan_mix(
        make_images(), draw_mix(SAMPLES, 1.0, generator(1)), MixOptions(lam_per="batch"), FineGrainedSaliency()
    )
    boxes = plan.source_boxes[plan.partner != torch.arange(SAMPLES)]
    assert len({(box[2] - box[0], box[3] - box[1]) for box in boxes.tolist()}) == 1
    assert len({tuple(box) for box in boxes.tolist()}) > 3


def test_equal_seeds_give_equal_batches_and_different_seeds_different_ones():
    def run(seed: int) -> Tensor:
        return saliency_mix(coded(), scores(), uint8_images=make_images(), generator=generator(seed))[0]

    assert torch.equal(run(0), run(0))
    assert not torch.equal(run(0), run(1))


def test_without_a_generator_torchs_global_one_is_used():
    def run() -> Tensor:
        torch.manual_seed(5)
        return saliency_mix(coded(), scores(), uint8_images=make_images())[0]

    assert torch.equal(run(), run())


def test_partners_and_lambda_do_not_depend_on_the_scheme():
    one, two = (draw_mix(SAMPLES, 1.0, generator(4)) for _ in range(2))
    assert torch.equal(one.partner, two.partner) and torch.equal(one.lam, two.lam)
    schemes = MixOptions(), MixOptions(source="random")
    plans = [plan_mix(make_images(), one, scheme, FineGrainedSaliency()) for scheme in schemes]
    assert torch.equal(plans[0].partner, plans[1].partner) and torch.equal(plans[0].pasted, plans[1].pasted)


def test_inputs_are_not_changed():
    images, targets, uint8_images = coded(), scores(), make_images()
    copies = [tensor.clone() for tensor in (images, targets, uint8_images)]
    mixed, mixed_targets = saliency_mix(images, targets, uint8_images=uint8_images, generator=generator())
    mixed.zero_()
    mixed_targets.zero_()
    assert all(torch.equal(*pair) for pair in zip((images, targets, uint8_images), copies))


def test_a_batch_of_one_is_returned_unchanged_with_its_own_label():
    images, targets = coded(1), torch.tensor([[0.3, 0.7]])
    mixed, mixed_targets = saliency_mix(images, targets, uint8_images=make_images(1), generator=generator())
    assert torch.equal(mixed, images) and torch.equal(mixed_targets, targets)


def test_a_flat_image_gives_a_patch_around_a_random_place():
    flat = torch.full((400, 3, 16, 16), 90, dtype=torch.uint8)
    draw = draw_mix(400, 1.0, generator())
    plan = plan_mix(flat, draw, MixOptions(border="clip"), FineGrainedSaliency())
    small = (draw.lam > 0.9) & (plan.partner != torch.arange(400))
    centres = (plan.source_boxes[small][:, :2] + plan.source_boxes[small][:, 2:]) // 2
    assert len({tuple(centre) for centre in centres.tolist()}) > 20


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.uint8])
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_dtype_and_memory_format_are_preserved(dtype, memory_format):
    uint8_images = make_images()
    images = uint8_images.to(dtype).contiguous(memory_format=memory_format)
    for target in ("corresponding", "salient"):
        mixed, mixed_targets = saliency_mix(
            images, scores(), uint8_images=uint8_images, target=target, generator=generator()
        )
        assert mixed.dtype == dtype and mixed.shape == images.shape
        assert mixed.is_contiguous(memory_format=memory_format)
        assert mixed_targets.dtype == torch.float32


@pytest.mark.parametrize("height, width", [(3, 3), (3, 17), (29, 3), (32, 32), (33, 20)])
def test_any_size_from_three_by_three_works(height, width):
    images = coded(4, height, width)
    mixed, mixed_targets = saliency_mix(
        images, torch.eye(4), uint8_images=make_images(4, height, width), generator=generator()
    )
    assert torch.isin(mixed, images).all()
    torch.testing.assert_close(mixed_targets.sum(1), torch.ones(4))


def test_class_numbers_give_the_same_as_their_one_hot_rows():
    numbers = torch.arange(SAMPLES) % CLASSES
    by_number = saliency_mix(make_images(), numbers, num_classes=CLASSES, generator=generator())
    by_row = saliency_mix(make_images(), scores(), generator=generator())
    assert all(torch.equal(*pair) for pair in zip(by_number, by_row))


def test_integer_scores_become_float_and_a_single_column_works():
    _, mixed = saliency_mix(make_images(), scores().long(), generator=generator())
    assert torch.equal(mixed, saliency_mix(make_images(), scores(), generator=generator())[1])
    binary = (torch.arange(SAMPLES) % 2).float()[:, None]
    assert saliency_mix(make_images(), binary, generator=generator())[1].shape == (SAMPLES, 1)


def test_floats_between_zero_and_one_are_mixed_as_the_uint8_images_they_were_made_from():
    uint8_images = make_images()
    from_floats, _ = saliency_mix(uint8_images.float() / 255, scores(), generator=generator())
    from_bytes, _ = saliency_mix(uint8_images, scores(), generator=generator())
    assert torch.equal((from_floats * 255).round().to(torch.uint8), from_bytes)


def test_the_random_source_is_spread_over_the_whole_image():
    draw = draw_mix(4000, 1.0, generator())
    uint8_images = torch.zeros(4000, 3, 8, 8, dtype=torch.uint8)
    plan = plan_mix(uint8_images, draw, MixOptions(source="random", border="clip"), FineGrainedSaliency())
    tiny = draw.lam > 1 - (3 / 8) ** 2
    centre = plan.source_boxes[tiny & (plan.pasted == 4)][:, :2] + 1
    assert set(centre.flatten().tolist()) == set(range(1, 8))


@pytest.mark.parametrize(
    "change, message",
    [
        (dict(images="an image"), "images should be a floating-point or uint8 tensor, got str"),
        (
            dict(images=torch.zeros(4, 3, 8, 8, dtype=torch.int64)),
            "images should be a floating-point or uint8 tensor, got torch.int64",
        ),
        (dict(images=torch.zeros(4, 3, 8)), r"images should have the shape \(N, C, H, W\), .* got \(4, 3, 8\)"),
        (dict(images=torch.zeros(4, 3, 2, 8)), "H and W at least 3"),
        (
            dict(images=torch.zeros(4, 2, 8, 8)),
            r"images should have 3 channels \(RGB\) or 1 \(grey\) .* got 2; or give it .* as uint8_images",
        ),
        (
            dict(images=torch.full((4, 3, 8, 8), 1.5)),
            "floats from 0 to 1, .*; give it its RGB images .* as uint8_images",
        ),
        (dict(images=torch.full((4, 3, 8, 8), float("nan"))), "images should be uint8, or floats from 0 to 1"),
        (
            dict(targets=torch.zeros(4, dtype=torch.int64)),
            r"targets should be scores .* got shape \(4,\); .* give num_classes as well",
        ),
        (dict(targets=torch.zeros(4, 0)), "targets should have at least one column, got none"),
        (dict(targets=torch.zeros(3, 5)), "targets should have one row for each of the 4 images, got 3 rows"),
        (
            dict(targets=torch.tensor([0, 1, 2, 5]), num_classes=5),
            "class numbers from 0 to 4 for num_classes=5, got 0 to 5",
        ),
        (
            dict(targets=torch.tensor([0.0, 1, 2, 3]), num_classes=5),
            "should be integer class numbers, got torch.float32",
        ),
        (dict(targets=torch.arange(4), num_classes=2.5), "num_classes should be an integer, got 2.5"),
        (dict(targets=torch.arange(4), num_classes=0), "num_classes should be at least 1, got 0"),
        (dict(targets=[0, 1, 2, 3]), "targets should be a tensor, got list"),
        (dict(uint8_images=torch.zeros(4, 3, 8, 8)), "uint8_images should be a uint8 tensor, got torch.float32"),
        (
            dict(uint8_images=torch.zeros(4, 3, 9, 8, dtype=torch.uint8)),
            r"uint8_images should have the number and size of images, \(4, 3, 8, 8\), got \(4, 3, 9, 8\)",
        ),
        (dict(alpha=0), "alpha should be a positive number, got 0; 1.0 makes"),
        (dict(alpha=-1.0), "alpha should be .* got -1.0"),
        (dict(alpha=float("nan")), "alpha should be .* got nan"),
        (dict(alpha="1"), "alpha should be .* got '1'"),
        (dict(source="best"), "source should be one of 'salient', 'non_salient', 'random'.*got 'best'"),
        (dict(target="random"), "target should be one of"),
        (dict(border="wrap"), "border should be one of .*got 'wrap'"),
        (dict(box_per="pixel"), "box_per should be one of .*got 'pixel'"),
        (dict(lam_per="pixel"), "lam_per should be one of .*got 'pixel'"),
        (dict(ties="last"), "ties should be one of .*got 'last'"),
    ],
)
def test_a_wrong_argument_raises_an_error_with_the_expected_and_the_given_value(change, message):
    call = dict(images=torch.rand(4, 3, 8, 8), targets=torch.eye(5)[:4]) | change
    with pytest.raises((TypeError, ValueError), match=message):
        saliency_mix(call.pop("images"), call.pop("targets"), **call)


@pytest.mark.parametrize("shape", [(4, 1), (4, 3), (4, 11)])
def test_targets_of_two_dimensions_have_a_column_for_each_class(shape):
    message = r"targets should be scores with num_classes=10 columns, got shape .*class numbers have the shape \(N,\)"
    for targets in (torch.zeros(shape, dtype=torch.int64), torch.zeros(shape)):
        with pytest.raises(ValueError, match=message):
            saliency_mix(make_images(4), targets, num_classes=10)
    _, targets = saliency_mix(make_images(4), torch.eye(4), num_classes=4)
    assert targets.shape == (4, 4)
