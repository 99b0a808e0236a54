"""Thousands of random calls of the method: each is refused as documented, or its result is as documented.

Which calls are valid is taken from the documentation only. The origin of every mixed pixel is found by a second call
with the same draw, on images whose values are their own indices.
"""

import random
from fractions import Fraction
from typing import Any, Callable, NamedTuple

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from smix_mm import saliency_mix
from smix_mm.mixing import draw_mix
from smix_mm.saliency import FineGrainedSaliency, FrequencyTunedSaliency, SpectralResidualSaliency

NAN, INFINITY = float("nan"), float("inf")
SIDES = st.integers(3, 40)
FLOATS = [torch.float32, torch.float16, torch.bfloat16, torch.float64]
IMAGE_KINDS = [torch.uint8, *FLOATS, torch.float8_e5m2]
NUMBER_KINDS = [torch.int64, torch.int32, torch.int16, torch.uint8, torch.uint16]
GOOD = dict(
    source=["salient", "non_salient", "random"],
    target=["corresponding", "salient", "non_salient"],
    border=["shift", "clip"],
    box_per=["sample", "batch"],
    lam_per=["sample", "batch"],
    ties=["first", "random"],
)
DETECTORS = [None, None, None, SpectralResidualSaliency(), FrequencyTunedSaliency()]
BAD_OPTION = [None, "", "Salient", 1, ["first"]]
BAD_ALPHA = [0, -1.0, NAN, INFINITY, True, None, "1", 1j, 10**400]


class Call(NamedTuple):
    """Arguments, the seed of the generator, and what is wrong; empty if nothing is."""

    images: Any
    targets: Any
    options: dict[str, Any]
    seed: int
    wrong: str


def random_images(shape, seed: int, kind: str) -> Tensor:
    """uint8 values of several characters."""
    if kind == "flat":
        return torch.full(shape, seed % 256, dtype=torch.uint8)
    most = {"noise": 256, "bits": 2, "dark": 12}[kind]
    return torch.randint(most, shape, dtype=torch.uint8, generator=generator(seed)) * (255 if most == 2 else 1)


def laid_out(tensor: Tensor, layout: str) -> Tensor:
    """The same values, in another order in memory."""
    if layout == "channels last":
        return tensor.contiguous(memory_format=torch.channels_last)
    if layout == "every other":
        wide = tensor.new_zeros((*tensor.shape[:3], tensor.shape[3] * 2))
        wide[..., ::2] = tensor
        return wide[..., ::2]
    return tensor


@st.composite
def good_calls(draw) -> Call:
    """A call that the documentation allows."""
    samples, height, width = draw(st.integers(0, 5)), draw(SIDES), draw(SIDES)
    seed, kind = draw(st.integers(0, 2**32)), draw(st.sampled_from(IMAGE_KINDS))
    character = draw(st.sampled_from(["noise", "bits", "dark", "flat"]))
    looks = random_images((samples, 3, height, width), seed, character)
    options: dict[str, Any] = {}
    # float8 is too coarse to be converted to uint8, so it is given together with uint8 images.
    if draw(st.booleans()) or kind == torch.float8_e5m2:
        options["uint8_images"] = laid_out(looks, draw(st.sampled_from(["plain", "channels last"])))
        images = torch.randn((samples, draw(st.integers(0, 4)), height, width), generator=generator(seed))
        images = (images * 60).clamp(0, 255) if kind == torch.uint8 else images * draw(st.sampled_from([1, 1e6]))
        if kind.is_floating_point and images.numel() and draw(st.booleans()):
            images.view(-1)[seed % images.numel()] = draw(st.sampled_from([NAN, INFINITY]))
    else:
        images = looks if kind == torch.uint8 else looks.double() / 255
    images = laid_out(images.to(kind), draw(st.sampled_from(["plain", "channels last", "every other"])))
    options.update({name: draw(st.sampled_from(values)) for name, values in GOOD.items() if draw(st.booleans())})
    if draw(st.booleans()):
        alphas = [1, np.float32(0.5), Fraction(1, 3), 1e-300, 1e299]
        options["alpha"] = draw(st.one_of(st.floats(0.01, 50), st.sampled_from(alphas)))
    options["detector"] = draw(st.sampled_from(DETECTORS))
    targets, num_classes = draw(good_targets(samples))
    if num_classes is not None:
        options["num_classes"] = num_classes
    return Call(images, targets, options, seed, "")


@st.composite
def good_targets(draw, samples: int) -> tuple[Tensor, Any]:
    """Scores, or class numbers with the number of classes."""
    classes, seed = draw(st.integers(1, 6)), draw(st.integers(0, 2**32))
    numbers = torch.randint(classes, (samples,), generator=generator(seed))
    form = draw(st.sampled_from(["numbers", "one-hot", "soft", "wild"]))
    if form == "numbers":
        return numbers.to(draw(st.sampled_from(NUMBER_KINDS))), draw(st.sampled_from([classes, np.int64(classes + 2)]))
    one_hot = torch.nn.functional.one_hot(numbers, classes)
    extra = draw(st.sampled_from([None, classes]))
    if form == "one-hot":
        return one_hot.to(draw(st.sampled_from([torch.bool, *NUMBER_KINDS, *FLOATS]))), extra
    scores = torch.rand((samples, classes), generator=generator(seed))
    # "Scores" promises no range: whatever is given is blended.
    return (scores if form == "soft" else scores * 1000 - 500).to(draw(st.sampled_from(FLOATS))), extra


@st.composite
def bad_calls(draw, wrong: str) -> Call:
    """A call that is allowed but for one thing. Left to hypothesis, some of these would hardly ever come up."""
    call = draw(good_calls())
    pick = random.Random(call.seed).choice
    images, targets, options = call.images, call.targets, dict(call.options)
    samples, _, height, width = images.shape
    if wrong == "images":
        images = pick([None, "a.jpg", [[0.5]], images.int(), images.bool(), images.to(torch.cfloat)])
    elif wrong == "shape":
        small = images.new_zeros(samples, 3, *pick([(2, 8), (8, 0), (1, 1)]))
        images = pick([images[..., 0], images[None], small])
    elif wrong == "values":
        options.pop("uint8_images", None)
        images = torch.rand(samples + 1, 3, height, width, generator=generator(call.seed))
        images.view(-1)[call.seed % images.numel()] = pick([NAN, INFINITY, -0.1, 1.1, 255])
        targets, options["num_classes"] = torch.ones(samples + 1, 2), None
    elif wrong == "uint8_images":
        right = torch.zeros(samples, 3, height, width, dtype=torch.uint8)
        more, wider = right.new_zeros(samples + 1, 3, height, width), torch.cat([right, right], 3)
        options["uint8_images"] = pick([right.float(), right[:, :2], more, wider, right.numpy()])
    elif wrong == "targets":
        targets, options["num_classes"] = pick(bad_targets(samples))
    elif wrong == "option":
        options[pick(list(GOOD))] = pick(BAD_OPTION)
    elif wrong == "alpha":
        options["alpha"] = pick(BAD_ALPHA)
    elif samples:
        options["detector"] = pick(["FineGrainedSaliency", 3, dict(type="Nothing"), lambda maps: maps])
    else:  # a detector is not called for an empty batch
        options["alpha"] = 0
    return Call(images, targets, options, call.seed, wrong)


def bad_targets(samples: int) -> list[tuple[Any, Any]]:
    """What are neither scores nor class numbers, each with the number of classes."""
    numbers = torch.zeros(samples, dtype=torch.int64)
    choices = [
        (None, None),
        (numbers.tolist(), 3),
        (numbers, None),
        (numbers.float(), 3),
        (numbers.bool(), 3),
        (numbers.to(torch.cfloat), 3),
        (numbers, 0),
        (numbers, -1),
        (numbers, 2.5),
        (numbers, "3"),
        (torch.zeros(samples, 0), None),
        (torch.zeros(samples + 1, 2), None),
        (torch.zeros(samples + 1, dtype=torch.int64), 3),
        (torch.zeros(samples, 2, 2), None),
        (torch.tensor(1.0), None),
        (torch.zeros(samples, 2, dtype=torch.cfloat), None),
    ]
    choices += [(torch.cat([numbers[1:], torch.tensor([beyond])]), 3) for beyond in (-1, 3, 2**62) if samples]
    return choices


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def same_bits(one: Tensor, other: Tensor) -> bool:
    if one.numel() == 0 or one.shape != other.shape:
        return one.shape == other.shape
    return one.contiguous().reshape(-1).view(torch.uint8).equal(other.contiguous().reshape(-1).view(torch.uint8))


def check_refused(call: Call) -> None:
    try:
        saliency_mix(call.images, call.targets, generator=generator(call.seed), **call.options)
    except (TypeError, ValueError) as error:
        assert str(error)
    else:
        raise AssertionError(f"accepted, though {call.wrong} is wrong")


def check_mixed(call: Call) -> None:
    images, targets, options = call.images, call.targets, call.options
    given = [tensor for tensor in (images, targets, options.get("uint8_images")) if tensor is not None]
    copies = [tensor.clone() for tensor in given]
    mixed, mixed_targets = saliency_mix(images, targets, generator=generator(call.seed), **options)

    assert all(same_bits(*pair) for pair in zip(given, copies))
    storages = {tensor.untyped_storage().data_ptr() for tensor in given if tensor.numel()}
    assert not storages & {tensor.untyped_storage().data_ptr() for tensor in (mixed, mixed_targets) if tensor.numel()}
    samples, channels, height, width = images.shape
    classes = options["num_classes"] if targets.dim() == 1 else targets.shape[1]
    floating = targets.dtype if targets.is_floating_point() else torch.float32
    assert (mixed.shape, mixed.dtype) == (images.shape, images.dtype)
    assert (mixed_targets.shape, mixed_targets.dtype) == ((samples, classes), floating)
    last = images.is_contiguous(memory_format=torch.channels_last) and not images.is_contiguous()
    assert mixed.is_contiguous(memory_format=torch.channels_last if last else torch.contiguous_format)
    if not samples:
        return

    places, own = where_from(call)
    chosen = images.permute(0, 2, 3, 1).flatten(0, 2)[places.flatten()]
    assert same_bits(mixed, chosen.view(samples, height, width, channels).permute(0, 3, 1, 2))

    scores = targets if targets.dim() == 2 else torch.eye(int(classes))[targets.long()]
    partner = draw_mix(samples, float(options.get("alpha", 1.0)), generator(call.seed)).partner
    exact = own[:, None] * scores.double() + (1 - own[:, None]) * scores.double()[partner]
    bound = 4 * torch.finfo(floating).eps * scores.double().abs().max() + torch.finfo(floating).tiny
    assert ((mixed_targets.double() - exact).abs() <= bound).all()


def where_from(call: Call) -> tuple[Tensor, Tensor]:
    """The place (sample, row, column), as one number, of every mixed pixel, and each image's own share; checked.

    An image's pixels are its own but for one whole rectangle, which lies as it lay in its partner.
    """
    samples, _, height, width = call.images.shape
    options = {name: value for name, value in call.options.items() if name != "num_classes"}
    if "uint8_images" not in options:
        values = call.images if call.images.dtype == torch.uint8 else (call.images.float() * 255).round()
        options["uint8_images"] = values.to(torch.uint8)
    numbers = torch.arange(samples * height * width, dtype=torch.float64).view(samples, 1, height, width)
    identity = torch.eye(samples, dtype=torch.float64)
    coded, weights = saliency_mix(numbers, identity, generator=generator(call.seed), **options)
    draw = draw_mix(samples, float(options.get("alpha", 1.0)), generator(call.seed))
    places = coded[:, 0].long()
    for sample, partner in enumerate(draw.partner.tolist()):
        strange = (places[sample] != numbers[sample, 0].long()).nonzero()
        if partner == sample or not len(strange):
            assert not len(strange) and weights[sample, sample] == 1
            continue
        (top, left), (bottom, right) = strange.amin(0).tolist(), (strange.amax(0) + 1).tolist()
        size = torch.tensor([bottom - top, right - left])
        y, x = divmod(int(places[sample, top, left]) - partner * height * width, width)
        whole = numbers[partner, 0, y : y + int(size[0]), x : x + int(size[1])].long()
        assert torch.equal(places[sample, top:bottom, left:right], whole)
        assert len(strange) == size.prod()
        assert weights[sample, partner] == len(strange) / (height * width)
        assert weights[sample, sample] == (height * width - len(strange)) / (height * width)
        check_patch(options, draw, sample, size, torch.tensor([[y, x], [top, left]]))
    return places, weights.diagonal()


def check_patch(options: dict[str, Any], draw: Any, sample: int, size: Tensor, corners: Tensor) -> None:
    """The size that λ asks for, around the extremes of the maps; with ``clip``, which cuts it, no larger."""
    uint8_images, detector = options["uint8_images"], options["detector"] or FineGrainedSaliency()
    by_batch = options.get("box_per") == "batch"
    first = 0 if by_batch else sample
    sides = torch.tensor(uint8_images.shape[2:])
    expected = (sides * (1 - draw.lam[0 if options.get("lam_per") == "batch" else first]).sqrt()).long()
    if options.get("border") == "clip":
        assert (size <= expected).all()
        return
    assert torch.equal(size, expected)
    target = options.get("target", "corresponding")
    if target == "corresponding":
        assert torch.equal(*corners)
    whose = [(options.get("source", "salient"), int(draw.partner[first])), (target, first)]
    for (where, number), corner in zip(whose, corners):
        uint8_image = uint8_images[number : number + 1]
        contrast = len(detector(uint8_image).unique()) > 1
        if contrast and where in ("salient", "non_salient") and options.get("ties") != "random":
            point = (detector.peak if where == "salient" else detector.least_salient_point)(uint8_image)[0]
            assert torch.equal(corner, torch.minimum((point - size // 2).clamp(min=0), sides - size))


def try_all(calls: st.SearchStrategy[Call], number: int, check: Callable[[Call], None]) -> int:
    """Draw ``number`` calls and check them; gives how many there were."""
    seen: list[int] = []

    @settings(
        max_examples=number, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
    )
    @given(calls)
    def try_one(call: Call) -> None:
        seen.append(call.seed)
        check(call)

    try_one()
    return len(seen)


def test_every_valid_call_returns_what_is_documented():
    assert try_all(good_calls(), 2000, check_mixed) >= 2000


@pytest.mark.parametrize(
    "wrong", ["images", "shape", "values", "uint8_images", "targets", "option", "alpha", "detector"]
)
def test_every_invalid_call_is_refused_as_documented(wrong):
    assert try_all(bad_calls(wrong), 400, check_refused) >= 400
