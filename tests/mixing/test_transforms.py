"""SaliencyMix in a data loader and in a training loop."""

import copy
import pickle
from dataclasses import asdict

import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

from smix_mm import saliency_mix
from smix_mm.mixing.transforms import SaliencyMixCollate, SaliencyMixTransform
from smix_mm.saliency import SpectralResidualSaliency

SAMPLES, CLASSES = 8, 4
MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]


def make_images(samples: int = SAMPLES) -> Tensor:
    generator = torch.Generator().manual_seed(7)
    return torch.randint(0, 256, (samples, 3, 24, 31), dtype=torch.uint8, generator=generator)


def four_channels() -> Tensor:
    return make_images()[:, [0, 1, 2, 0]]


def labels(samples: int = SAMPLES) -> Tensor:
    return torch.arange(samples) % CLASSES


def normalize(images: Tensor) -> Tensor:
    from torchvision.transforms.v2 import functional

    return functional.normalize(images.float() / 255, MEAN, STD)


def mixed_by_the_function(
    images: Tensor, transform: SaliencyMixTransform, uint8_images: Tensor
) -> tuple[Tensor, Tensor]:
    """What `saliency_mix` makes of the batch with the generator that the transform's next call would have."""
    from smix_mm.mixing.plan import call_generator

    generator = call_generator()
    torch.rand(1, generator=generator)  # the coin
    options = dict(asdict(transform.options), num_classes=CLASSES, uint8_images=uint8_images, generator=generator)
    return saliency_mix(images, labels(), **options)


@pytest.mark.parametrize("kind", ["bytes", "floats", "normalized"])
def test_batches_of_any_pixels_are_mixed_as_by_the_function(kind):
    images = dict(bytes=make_images(), floats=make_images() / 255, normalized=normalize(make_images()))[kind]
    options = dict(mean=MEAN, std=STD) if kind == "normalized" else {}
    transform = SaliencyMixTransform(CLASSES, target="salient", alpha=0.7, **options)
    before = images.clone()
    torch.manual_seed(3)
    mixed, targets = transform(images, labels())
    torch.manual_seed(3)
    expected = mixed_by_the_function(images, transform, make_images())
    assert torch.equal(mixed, expected[0]) and torch.equal(targets, expected[1])
    assert mixed.dtype == images.dtype and torch.equal(images, before) and not torch.equal(mixed, before)


def test_prob_is_the_share_of_batches_that_are_mixed_and_the_others_get_one_hot_targets():
    torch.manual_seed(0)
    transform, images = SaliencyMixTransform(CLASSES, prob=0.25), make_images()
    one_hot = torch.eye(CLASSES)[labels()]
    outcomes = [transform(images, labels()) for _ in range(200)]
    left = [torch.equal(mixed, images) for mixed, _ in outcomes]
    assert 130 <= sum(left) <= 170
    assert all(torch.equal(targets, one_hot) == as_it_was for (_, targets), as_it_was in zip(outcomes, left))
    assert all(SaliencyMixTransform(CLASSES, prob=0)(images, labels())[0] is images for _ in range(20))


def test_timms_switch_turns_mixing_off_and_on():
    transform, images = SaliencyMixTransform(CLASSES), make_images()
    transform.mixup_enabled = False
    assert transform(images, labels())[0] is images
    transform.mixup_enabled = True
    assert not torch.equal(transform(images, labels())[0], images)


def test_scores_need_no_number_of_classes_and_the_detector_may_be_another():
    transform = SaliencyMixTransform(detector=dict(type="SpectralResidualSaliency"), source="non_salient")
    assert isinstance(transform.detector, SpectralResidualSaliency)
    torch.manual_seed(0)
    one = transform(make_images(), torch.eye(CLASSES)[labels()].double())
    assert one[1].dtype == torch.float64
    torch.manual_seed(0)
    other = SaliencyMixTransform(source="non_salient")(make_images(), torch.eye(CLASSES)[labels()])
    assert not torch.equal(one[0], other[0])


def test_results_depend_on_torchs_seed_and_on_the_rank(monkeypatch):
    def run(rank: str) -> Tensor:
        monkeypatch.setenv("RANK", rank)
        torch.manual_seed(1)
        return SaliencyMixTransform(CLASSES)(make_images(), labels())[1]

    assert torch.equal(run("0"), run("0")) and not torch.equal(run("0"), run("1"))


def test_it_can_replace_torchvisions_mixes():
    from torchvision import tv_tensors
    from torchvision.transforms import v2

    torch.manual_seed(0)
    choice = v2.RandomChoice([v2.CutMix(num_classes=CLASSES), SaliencyMixTransform(CLASSES)])
    for _ in range(8):
        images, targets = choice(tv_tensors.Image(make_images() / 255), labels())
        assert images.shape == make_images().shape and targets.shape == (SAMPLES, CLASSES)
        torch.testing.assert_close(targets.sum(1), torch.ones(SAMPLES))


def batches(workers: int) -> list[Tensor]:
    """The targets of two epochs of four batches."""
    torch.manual_seed(11)
    loader = DataLoader(
        TensorDataset(make_images(32), labels(32)),
        batch_size=8,
        num_workers=workers,
        collate_fn=SaliencyMixCollate(CLASSES),
    )
    return [targets for _ in range(2) for _, targets in loader]


@pytest.mark.parametrize("workers", [0, 2])
def test_every_batch_of_every_worker_and_epoch_is_mixed_differently_and_repeatably(workers):
    first, again = batches(workers), batches(workers)
    assert len(first) == 8
    assert not any(torch.equal(one, two) for i, one in enumerate(first) for two in first[:i])
    assert all(torch.equal(one, two) for one, two in zip(first, again))


def test_workers_mix_differently_even_if_the_collate_function_was_used_before_they_started():
    collate = SaliencyMixCollate(CLASSES)
    collate([(uint8_image, label) for uint8_image, label in zip(make_images(), labels())])
    loader = DataLoader(
        TensorDataset(
            make_images(1).expand(16, -1, -1, -1) + torch.arange(16, dtype=torch.uint8).view(-1, 1, 1, 1), labels(16)
        ),
        batch_size=8,
        num_workers=2,
        collate_fn=collate,
    )
    one, two = (targets for _, targets in loader)
    assert not torch.equal(one, two)


def test_it_can_be_pickled_copied_and_shown():
    collate = SaliencyMixCollate(CLASSES, prob=0.5, border="clip", mean=MEAN, std=STD)
    sent = pickle.loads(pickle.dumps(copy.deepcopy(collate)))
    assert sent.transform.options == collate.transform.options and sent.transform.prob == 0.5
    assert repr(SaliencyMixTransform(2, prob=0.5)).startswith(
        "SaliencyMixTransform(prob=0.5, alpha=1.0, source='salient'"
    )


def test_cross_entropy_accepts_the_targets():
    _, targets = SaliencyMixTransform(CLASSES)(make_images(), labels())
    logits = torch.zeros(SAMPLES, CLASSES, requires_grad=True)
    torch.nn.functional.cross_entropy(logits, targets).backward()
    torch.testing.assert_close(logits.grad, (torch.full((SAMPLES, CLASSES), 1 / CLASSES) - targets) / SAMPLES)


def test_grey_images_are_mixed_as_rgb_images_of_three_equal_channels():
    grey = make_images()[:, :1]
    rgb = grey.expand(-1, 3, -1, -1)

    def mixed(images: Tensor, **options) -> tuple[Tensor, Tensor]:
        torch.manual_seed(3)
        return SaliencyMixTransform(CLASSES, **options)(images, labels())

    one = dict(mean=[0.13], std=[0.3])
    three = dict(mean=[0.13] * 3, std=[0.3] * 3)
    for images, other, options, others in (
        (grey, rgb, {}, {}),
        (grey / 255, rgb / 255, {}, {}),
        ((grey / 255 - 0.13) / 0.3, (rgb / 255 - 0.13) / 0.3, one, three),
    ):
        found, expected = mixed(images, **options), mixed(other, **others)
        assert torch.equal(found[0], expected[0][:, :1]) and torch.equal(found[1], expected[1])
        assert not torch.equal(found[0], images)


def test_images_of_other_channels_are_mixed_by_the_images_that_a_function_makes_of_them():
    rgb = make_images()
    images = torch.cat([rgb / 51.0 - 2.5, rgb[:, :1] * 7.0], 1)
    transform = SaliencyMixTransform(CLASSES, to_uint8=lambda batch: ((batch[:, :3] + 2.5) * 51).round().byte())
    torch.manual_seed(3)
    mixed, targets = transform(images, labels())
    torch.manual_seed(3)
    expected = mixed_by_the_function(images, transform, rgb)
    assert torch.equal(mixed, expected[0]) and torch.equal(targets, expected[1])
    collate = SaliencyMixCollate(CLASSES, to_uint8=lambda batch: batch[:, :3])
    four = torch.cat([rgb, rgb[:, :1]], 1)
    assert collate(list(zip(four, labels().tolist())))[0].shape == four.shape


@pytest.mark.parametrize(
    "options, message",
    [
        (dict(num_classes=2.0), "num_classes should be an integer, got 2.0"),
        (dict(prob=1.5), "prob should be a number from 0 to 1, got 1.5"),
        (dict(prob=True), "prob should be .* got True"),
        (dict(mean=MEAN), "mean and std should be given both, or neither"),
        (dict(mean=MEAN, std=[1, 0, 1]), "three positive numbers"),
        (dict(mean=[0.5], std=STD), r"mean should be three numbers, .* got \[0.5\]"),
        (dict(to_uint8="rgb"), "to_uint8 should be a function of a batch, .* got 'rgb'"),
        (dict(to_uint8=torch.Tensor.byte, mean=MEAN, std=STD), "given without mean and std, .* and a mean"),
        (dict(alpha=-1), "alpha should be a positive number, got -1"),
        (dict(ties="last"), "ties should be one of .*got 'last'"),
        (dict(detector=dict(type="None")), "type of the saliency detector should be one of .* got 'None'"),
    ],
)
def test_a_wrong_option_is_refused_by_the_constructor(options, message):
    with pytest.raises(ValueError, match=message):
        SaliencyMixTransform(**options)


@pytest.mark.parametrize(
    "options, images, targets, error, message",
    [
        ({}, make_images(), labels(), ValueError, "for class numbers .N,. give num_classes"),
        (dict(num_classes=3), make_images(), labels(), ValueError, "from 0 to 2 for num_classes=3, got 0 to 3"),
        (dict(num_classes=4), normalize(make_images()), labels(), ValueError, "images should be uint8, or floats"),
        (dict(num_classes=4, mean=MEAN, std=STD), make_images() * 1.0, labels(), ValueError, "to 58.*give the mean"),
        (dict(num_classes=4, mean=MEAN, std=STD), make_images()[:, :1] / 255, labels(), ValueError, "shape .N, 3, "),
        (dict(num_classes=4), four_channels(), labels(), ValueError, "3 channels .RGB. or 1 .* got 4; .* by to_uint8"),
        (dict(num_classes=4, to_uint8=torch.Tensor.byte), four_channels(), labels(), ValueError, "result of to_uint8"),
        (dict(num_classes=4, to_uint8=lambda b: b[:2]), four_channels(), labels(), ValueError, "result of to_uint8"),
        (dict(num_classes=4), list(make_images()), labels(), TypeError, "images should be a .* got list"),
        (dict(num_classes=4, mean=MEAN, std=STD), normalize(make_images()) * torch.nan, labels(), ValueError, "NaN"),
    ],
)  # fmt: skip
def test_a_wrong_batch_raises_an_error_with_the_expected_and_the_given_value(options, images, targets, error, message):
    with pytest.raises(error, match=message):
        SaliencyMixTransform(**options)(images, targets)


@pytest.mark.parametrize(
    "samples, given",
    [
        ([make_images()[0]], "Tensor"),
        ([(make_images()[0], 1, 2)], "3 parts"),
        ([dict(image=make_images()[0], label=1)], "dict"),
    ],
)
def test_samples_that_are_not_pairs_are_refused(samples, given):
    with pytest.raises(TypeError, match=f"a batch should be a pair .images, labels., got {given}"):
        SaliencyMixCollate(CLASSES)(samples)
