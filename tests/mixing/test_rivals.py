"""ResizeMix, GuidedMixup and RecursiveMix against plain re-enactments of their definitions."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

import smix_mm
from smix_mm import guided_mixup, recursive_mix, resize_mix
from smix_mm.mixing.rivals import draw_region, farthest_cycle
from smix_mm.saliency import FrequencyTunedSaliency, SpectralResidualSaliency

SIZES = [(7, 11), (12, 5), (9, 9)]
FLOATS = [torch.float64, torch.float32, torch.float16, torch.bfloat16]
TOLERANCE = {torch.float64: 1e-10, torch.float32: 1e-5, torch.float16: 2e-3, torch.bfloat16: 1e-2}


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def make_images(samples: int = 6, size: tuple[int, int] = (7, 11), channels: int = 3, seed: int = 1) -> Tensor:
    return torch.randint(0, 256, (samples, channels, *size), dtype=torch.uint8, generator=generator(seed))


def numbers(seed: int) -> np.random.Generator:
    """The generator of a mix whose torch generator has this seed."""
    return np.random.default_rng(int(torch.randint(0, 2**63 - 1, (1,), generator=generator(seed))))


def shrink(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """Bilinear, sample points at pixel centres, coordinates clamped to the image; (C, H, W)."""
    result = np.empty((len(image), height, width))
    for i in range(height):
        for j in range(width):
            y, x = ((k + 0.5) * old / new - 0.5 for k, old, new in zip((i, j), image.shape[1:], (height, width)))
            y, x = min(max(y, 0), image.shape[1] - 1), min(max(x, 0), image.shape[2] - 1)
            top, left = int(y), int(x)
            below, right = min(top + 1, image.shape[1] - 1), min(left + 1, image.shape[2] - 1)
            upper = image[:, top, left] * (1 - (x - left)) + image[:, top, right] * (x - left)
            lower = image[:, below, left] * (1 - (x - left)) + image[:, below, right] * (x - left)
            result[:, i, j] = upper * (1 - (y - top)) + lower * (y - top)
    return result


def resized_by_hand(images: np.ndarray, scores: np.ndarray, tau: tuple, seed: int) -> tuple[np.ndarray, np.ndarray]:
    random, (samples, _, height, width) = numbers(seed), images.shape
    partner, ratios, places = random.permutation(samples), random.uniform(*tau, samples), random.random((samples, 2))
    mixed, mixed_scores = images.copy(), scores.copy()
    for n, (other, ratio, place) in enumerate(zip(partner, ratios, places)):
        if other == n:
            continue
        h, w = max(1, int(height * ratio)), max(1, int(width * ratio))
        top, left = int(place[0] * (height - h + 1)), int(place[1] * (width - w + 1))
        mixed[n, :, top : top + h, left : left + w] = shrink(images[other], h, w)
        share = h * w / (height * width)
        mixed_scores[n] = (1 - share) * scores[n] + share * scores[other]
    return mixed, mixed_scores


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("tau", [(0.1, 0.8), (0.0, 1.0), (0.5, 0.5)])
def test_resizemix_pastes_whole_images_made_smaller_as_defined(size, tau):
    images, scores = make_images(6, size, channels=2).double(), torch.eye(6, dtype=torch.float64)
    for seed in range(5):
        mixed, mixed_scores = resize_mix(images, scores, tau=tau, generator=generator(seed))
        expected = resized_by_hand(images.numpy(), scores.numpy(), tau, seed)
        np.testing.assert_allclose(mixed.numpy(), expected[0], atol=1e-9)
        np.testing.assert_allclose(mixed_scores.numpy(), expected[1], atol=1e-15)


def test_resizemixs_sides_and_places_cover_the_papers_range_evenly():
    samples, side = 3000, 20
    images = torch.ones(samples, 1, side, side).cumsum(0)  # constant images of different values
    mixed, _ = resize_mix(images, torch.ones(samples, 1), generator=generator())
    pasted = (mixed != images)[:, 0]
    heights, widths = pasted.any(2).sum(1), pasted.any(1).sum(1)
    keep = heights > 0  # a few images are their own partners
    assert torch.equal(heights, widths) and keep.sum() > samples - 10
    assert torch.equal(pasted.sum((1, 2)), heights * widths)
    counts = heights[keep].bincount()
    # int(20 * tau) with tau from 0.1 to 0.8: 2 to 15, each with the probability 1/14.
    assert counts.nonzero().flatten().tolist() == list(range(2, 16))
    assert (counts[2:16] - samples / 14).abs().max() < 5 * math.sqrt(samples / 14)
    first = torch.where(pasted.any(2), torch.arange(side), side).amin(1)[keep].double()
    room = (side - heights[keep]).double()
    assert abs((first / room).mean() - 0.5) < 0.03 and ((first == room).any() and (first == 0).any())


def smoothed(saliency_map: np.ndarray) -> np.ndarray:
    """7x7 Gaussian of sigma 3 with reflected borders, divided by the sum."""
    taps = [[math.exp(-(dy**2 + dx**2) / 18) for dx in range(-3, 4)] for dy in range(-3, 4)]
    padded = np.pad(saliency_map, 3, mode="reflect")
    result = np.zeros_like(saliency_map)
    for dy in range(7):
        for dx in range(7):
            result += taps[dy][dx] * padded[dy : dy + len(result), dx : dx + len(result[0])]
    return result / result.sum() if result.sum() else np.full_like(result, 1 / result.size)


def guided_by_hand(images, scores, maps) -> tuple[np.ndarray, np.ndarray, list[int]]:
    maps = [smoothed(each.astype(np.float64)) for each in maps]
    samples = len(maps)

    def far(one: int, two: int) -> float:
        return ((maps[one] - maps[two]) ** 2).sum()

    pairs = [(one, two) for one in range(samples) for two in range(samples) if one != two]
    cycle = list(max(pairs, key=lambda pair: far(*pair)))
    while len(cycle) < samples:
        cycle.append(max((n for n in range(samples) if n not in cycle), key=lambda n: far(cycle[-1], n)))
    partner = {one: two for one, two in zip(cycle, [*cycle[1:], cycle[0]])}
    mixed, mixed_scores = np.empty_like(images), np.empty_like(scores)
    for one, two in partner.items():
        ratio = maps[one] / (maps[one] + maps[two])
        mixed[one] = ratio * images[one] + (1 - ratio) * images[two]
        mixed_scores[one] = ratio.mean() * scores[one] + (1 - ratio.mean()) * scores[two]
    return mixed, mixed_scores, [partner[n] for n in range(samples)]


@pytest.mark.parametrize("size", [(16, 25), (4, 9), (30, 30)])
@pytest.mark.parametrize("detector", [SpectralResidualSaliency(), FrequencyTunedSaliency()])
def test_guidedmixup_mixes_every_pixel_by_the_ratio_of_the_saliency_as_defined(size, detector):
    images, scores = make_images(7, size), torch.eye(7, dtype=torch.float64)
    mixed, mixed_scores = guided_mixup(images.double(), scores, uint8_images=images, detector=detector)
    expected = guided_by_hand(images.double().numpy(), scores.numpy(), detector(images).numpy())
    np.testing.assert_allclose(mixed.numpy(), expected[0], atol=2e-3)  # of 255, from float32 maps
    np.testing.assert_allclose(mixed_scores.numpy(), expected[1], atol=1e-5)
    # One cycle through the batch.
    assert sorted(expected[2]) == list(range(7))
    assert (mixed_scores > 0).sum() == 14 and torch.allclose(mixed_scores.sum(1), torch.ones(7).double())


def test_guidedmixups_detector_is_spectral_residual_unless_another_is_given():
    images = make_images(4, (16, 16))
    given = guided_mixup(images, torch.eye(4), detector=SpectralResidualSaliency())
    assert all(map(torch.equal, guided_mixup(images, torch.eye(4)), given))
    assert not torch.equal(guided_mixup(images, torch.eye(4), detector=FrequencyTunedSaliency())[0], given[0])


def test_guidedmixup_without_saliency_is_an_even_mix():
    images = torch.stack([torch.full((3, 8, 8), value, dtype=torch.uint8) for value in (0, 100, 200)])
    mixed, scores = guided_mixup(images, torch.eye(3))
    # All distances are equal: the first cycle, 0 to 1 to 2.
    assert mixed[:, 0, 0, 0].tolist() == [50, 150, 100]
    assert torch.equal(scores, torch.tensor([[0.5, 0.5, 0], [0, 0.5, 0.5], [0.5, 0, 0.5]]))


def test_the_cycle_begins_with_the_farthest_pair_and_visits_all():
    points = torch.tensor([0.0, 1.0, 5.0, 5.5, 9.0]).view(5, 1, 1)
    # 0 and 4 are farthest; then from 4 to 1, from 1 to 3, from 3 to 2, and back.
    assert farthest_cycle(points).tolist() == [4, 3, 0, 2, 1]
    assert farthest_cycle(torch.zeros(4, 2, 2)).tolist() == [1, 2, 3, 0]


def recursive_by_hand(images, scores, old_images, old_scores, alpha, seed) -> tuple[np.ndarray, np.ndarray]:
    random, (height, width) = numbers(seed), images.shape[2:]
    ratio = math.sqrt(random.uniform(0, alpha))
    cy, cx = random.integers(height), random.integers(width)
    h, w = int(height * ratio) // 2, int(width * ratio) // 2
    ys, xs = range(max(cy - h, 0), min(cy + h, height)), range(max(cx - w, 0), min(cx + w, width))
    mixed, mixed_scores = images.copy(), scores.copy()
    for n in range(min(len(images), len(old_images))):
        for i, y in enumerate(ys):
            for j, x in enumerate(xs):
                row, column = math.floor(i * old_images.shape[2] / len(ys)), math.floor(j * width / len(xs))
                mixed[n, :, y, x] = old_images[n, :, row, column]
        share = len(ys) * len(xs) / (height * width)
        mixed_scores[n] = (1 - share) * scores[n] + share * old_scores[n]
    return mixed, mixed_scores


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("samples, before", [(4, 4), (3, 5), (5, 3), (1, 1)])
def test_recursivemix_pastes_the_previous_batch_as_defined(size, samples, before):
    old_images, old_scores = make_images(before, size, seed=2).double(), torch.full((before, 6), 1 / 6).double()
    images, scores = make_images(samples, size).double(), torch.eye(6, dtype=torch.float64)[:samples]
    changed = 0
    for seed in range(8):
        mixed, mixed_scores = recursive_mix(images, scores, (old_images, old_scores), generator=generator(seed))
        arrays = [each.numpy() for each in (images, scores, old_images, old_scores)]
        expected = recursive_by_hand(*arrays, 0.5, seed)
        assert np.array_equal(mixed.numpy(), expected[0])
        np.testing.assert_allclose(mixed_scores.numpy(), expected[1], atol=1e-15)
        changed += not torch.equal(mixed, images)
    assert changed >= 4


def test_recursivemixs_boxes_have_at_most_the_share_alpha_and_lie_inside():
    for alpha in (0.5, 1.0):
        boxes = np.array([draw_region(20, 30, alpha, generator(seed)) for seed in range(500)])
        assert (boxes >= 0).all() and (boxes[:, 2] <= 20).all() and (boxes[:, 3] <= 30).all()
        shares = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]) / 600
        assert shares.max() <= alpha and shares.max() > 0.6 * alpha and shares.min() < 0.02


def test_recursivemix_is_recursive_and_the_first_batch_is_not_mixed():
    batches = [make_images(3, seed=seed).float() for seed in (1, 2, 3)]
    labels = [torch.full((3,), label) for label in (0, 1, 2)]
    previous, draw = None, generator(5)
    for images, label in zip(batches, labels):
        previous = recursive_mix(images, label, previous, num_classes=3, alpha=1.0, generator=draw)
        if images is batches[0]:
            assert torch.equal(previous[0], images) and torch.equal(previous[1], torch.eye(3)[label])
    assert (previous[1] > 0).all() and torch.allclose(previous[1].sum(1), torch.ones(3))


def mix(name: str, images: Tensor, targets: Tensor, **options):
    if name == "recursive_mix":
        old = make_images(len(images), tuple(images.shape[2:]), images.shape[1], seed=9)
        options["previous"] = old.to(images.dtype), torch.eye(4)[torch.arange(len(images)) % 4].flip(0)
    if name != "guided_mixup":
        options["generator"] = generator(2)
    return getattr(smix_mm, name)(images, targets, **options)


NAMES = ["resize_mix", "guided_mixup", "recursive_mix"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", [*FLOATS, torch.uint8])
def test_dtypes_and_memory_formats_are_kept_and_nothing_is_changed_in_place(name, dtype):
    plain = make_images(4, (12, 15))
    given = plain if dtype == torch.uint8 else (plain / 255).to(dtype)
    looks = dict(uint8_images=plain) if name == "guided_mixup" else {}
    exact, _ = mix(name, given.double() if dtype != torch.uint8 else given, torch.eye(4), **looks)
    for layout in (torch.contiguous_format, torch.channels_last):
        images, scores = given.contiguous(memory_format=layout), torch.eye(4)
        before = images.clone()
        mixed, mixed_scores = mix(name, images, scores, **looks)
        assert torch.equal(images, before) and torch.equal(scores, torch.eye(4)) and mixed is not images
        assert mixed.dtype == dtype and mixed.is_contiguous(memory_format=layout)
        if name != "recursive_mix":  # whose previous batch has other values in each dtype
            torch.testing.assert_close(mixed.double(), exact.double(), atol=TOLERANCE.get(dtype, 0), rtol=0)
        assert not torch.equal(mixed, images) and mixed_scores.dtype == torch.float32


@pytest.mark.parametrize("name", NAMES)
def test_labels_of_every_kind_give_the_same_scores(name):
    images, labels = make_images(4, (12, 15)), torch.tensor([3, 0, 2, 3])
    expected = mix(name, images, torch.eye(4)[labels])[1]
    for dtype in (torch.int64, torch.int32, torch.uint8):
        assert torch.equal(mix(name, images, labels.to(dtype), num_classes=4)[1], expected)
    assert torch.equal(mix(name, images, torch.eye(4, dtype=torch.int64)[labels])[1], expected)
    half = mix(name, images, torch.eye(4, dtype=torch.float16)[labels])[1]
    assert half.dtype == torch.float16 and torch.allclose(half.float(), expected, atol=1e-3)


@pytest.mark.parametrize("name", NAMES)
def test_a_batch_of_one_and_an_empty_one(name):
    images = make_images(1, (12, 15))
    mixed, scores = mix(name, images, torch.eye(4)[:1])
    if name != "recursive_mix":
        assert torch.equal(mixed, images) and torch.equal(scores, torch.eye(4)[:1])
    mixed, scores = mix(name, images[:0], torch.eye(4)[:0])
    assert mixed.shape == (0, 3, 12, 15) and scores.shape == (0, 4)


def test_nan_is_pasted_and_not_spread_and_guidedmixups_detector_refuses_it():
    images = make_images(6).float() / 255
    images[2] = float("nan")
    mixed, scores = resize_mix(images, torch.eye(6), generator=generator(2))
    receivers = (scores[:, 2] > 0).nonzero().flatten().tolist()
    assert mixed.isnan().flatten(1).any(1).nonzero().flatten().tolist() == receivers and len(receivers) == 2
    with pytest.raises(ValueError, match="floats from 0 to 1"):
        guided_mixup(images, torch.eye(6))


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda i: resize_mix(i, torch.eye(4), tau=(0.8, 0.1)), r"tau should be two numbers .* got \(0.8, 0.1\)"),
        (lambda i: resize_mix(i, torch.eye(4), tau=0.5), "tau should be two numbers"),
        (lambda i: resize_mix(i, torch.eye(4), tau=(0, math.nan)), "tau should be two numbers"),
        (lambda i: resize_mix(i, torch.arange(4)), "give num_classes as well"),
        (lambda i: guided_mixup(i[:, :, :3], torch.eye(4)), "H and W of at least 4"),
        (lambda i: guided_mixup(i[:, :2], torch.eye(4)), "as uint8_images"),
        (lambda i: guided_mixup(i, torch.eye(3)), "one row for each of the 4 images"),
        (lambda i: recursive_mix(i, torch.eye(4), None, alpha=0), "alpha should be a number above 0 and at most 1"),
        (lambda i: recursive_mix(i, torch.eye(4), (i[:, :1], torch.eye(4))), "3 channels and 4 classes .* got 1 and 4"),
    ],
)
def test_wrong_arguments_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call(make_images(4, (8, 9)))
