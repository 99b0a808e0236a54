"""The schemes of the paper and the control, on photographs, against the extremes of OpenCV's map."""

import itertools
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

from smix_mm.mixing import MixDraw, MixOptions, plan_mix
from smix_mm.saliency import FineGrainedSaliency

HEIGHT, WIDTH, SAMPLES = 48, 64, 8
PAPER = [
    MixOptions(source="salient", target="corresponding"),
    MixOptions(source="salient", target="salient"),
    MixOptions(source="salient", target="non_salient", ties="random"),
    MixOptions(source="non_salient", target="salient", ties="random"),
    MixOptions(source="non_salient", target="non_salient", ties="random"),
]
FIRST = [MixOptions(source=scheme.source, target=scheme.target) for scheme in PAPER[2:]]


@pytest.fixture(scope="module")
def photographs(smix_data) -> Tensor:
    """uint8 RGB (8, 3, 48, 64)."""
    files = sorted((smix_data / "imagenet-samples").glob("*.JPEG"))[:SAMPLES]
    uint8_images = [cv2.resize(cv2.imread(str(file)), (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA) for file in files]
    return torch.from_numpy(
        np.stack([uint8_image[..., ::-1].transpose(2, 0, 1) for uint8_image in uint8_images]).copy()
    )


def extremes(uint8_image: Tensor, where: str, ties: str) -> list[tuple[int, int]]:
    """All extremes of OpenCV's map of an image, or the first one."""
    bgr = np.ascontiguousarray(uint8_image.numpy().transpose(1, 2, 0)[..., ::-1])
    _, saliency_map = cv2.saliency.StaticSaliencyFineGrained_create().computeSaliency(bgr)
    equal = np.argwhere(saliency_map == (saliency_map.max() if where == "salient" else saliency_map.min()))
    return [(int(y), int(x)) for y, x in (equal if ties == "random" else equal[:1])]


def spans(source: int, target: int, size: int, side: int, border: str) -> tuple[tuple[int, int], tuple[int, int]]:
    """From where to where a patch is cut and pasted, along one axis; counted out pixel by pixel."""
    if border == "shift":
        first, second = (min(max(place - size // 2, 0), side - size) for place in (source, target))
        return (first, first + size), (second, second + size)
    steps = range(-(size // 2), size // 2)
    inside = [step for step in steps if 0 <= source + step < side and 0 <= target + step < side]
    if not inside:
        return (source, source), (target, target)
    return (source + inside[0], source + inside[-1] + 1), (target + inside[0], target + inside[-1] + 1)


def boxes(source: tuple[int, int], target: tuple[int, int], lam: float, border: str) -> tuple[tuple, tuple]:
    ratio = (1 - lam) ** 0.5
    (ys, yt), (xs, xt) = (
        spans(source[axis], target[axis], int(side * ratio), side, border) for axis, side in enumerate((HEIGHT, WIDTH))
    )
    return (ys[0], xs[0], ys[1], xs[1]), (yt[0], xt[0], yt[1], xt[1])


def draw(samples: int, lam: list[float]) -> MixDraw:
    """Each image gets its patch from the next one."""
    uniform = torch.rand(samples, 2, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    lam = torch.tensor((lam * samples)[:samples], dtype=torch.float64)
    return MixDraw(torch.arange(samples).roll(-1), lam, uniform)


@pytest.mark.parametrize("border", ["shift", "clip"])
@pytest.mark.parametrize("scheme", PAPER + FIRST, ids=lambda scheme: f"{scheme.source}-{scheme.target}-{scheme.ties}")
def test_patches_lie_around_the_extremes_of_opencvs_map(photographs, scheme, border):
    drawn = draw(SAMPLES, [0.97, 0.2, 0.7, 0.9, 0.5, 0.99, 0.02, 0.8])
    plan = plan_mix(photographs, drawn, replace(scheme, border=border), FineGrainedSaliency())
    for sample, partner in enumerate(drawn.partner.tolist()):
        sources = extremes(photographs[partner], scheme.source, scheme.ties)
        if scheme.target == "corresponding":
            pairs = [(place, place) for place in sources]
        else:
            pairs = list(itertools.product(sources, extremes(photographs[sample], scheme.target, scheme.ties)))
        allowed = {boxes(source, target, drawn.lam[sample].item(), border) for source, target in pairs}
        found = tuple(plan.source_boxes[sample].tolist()), tuple(plan.target_boxes[sample].tolist())
        assert found in allowed
        (y1, x1, y2, x2), (v1, u1, v2, u2) = found
        assert (y2 - y1, x2 - x1) == (v2 - v1, u2 - u1)
        assert plan.pasted[sample] == (v2 - v1) * (u2 - u1)


def test_different_schemes_give_different_boxes(photographs):
    found = []
    for scheme in (*PAPER, MixOptions(source="random")):
        plan = plan_mix(photographs, draw(SAMPLES, [0.95]), scheme, FineGrainedSaliency())
        found.append((plan.source_boxes.tolist(), plan.target_boxes.tolist()))
    assert all(one != two for one, two in itertools.combinations(found, 2))


def test_of_many_equal_least_salient_points_each_is_taken_and_no_other():
    uint8_image = torch.zeros(3, HEIGHT, WIDTH, dtype=torch.uint8)
    uint8_image[:, 4::8, 4::8] = 200
    least_salient_points = set(extremes(uint8_image, "non_salient", "random"))
    inner = {(y, x) for y, x in least_salient_points if 0 < y < HEIGHT - 1 and 0 < x < WIDTH - 1}
    assert len(inner) > 100
    samples = 20 * len(least_salient_points)
    # The place of a patch of 2x2 pixels shows the point that it lies around.
    drawn = draw(samples, [1 - (2.5 / HEIGHT) ** 2])
    uint8_images = uint8_image.expand(samples, *uint8_image.shape)
    options = MixOptions(source="non_salient", target="non_salient", border="clip", ties="random")
    plan = plan_mix(uint8_images, drawn, options, FineGrainedSaliency())
    whole = plan.pasted == 4
    for found in (plan.source_boxes[whole], plan.target_boxes[whole]):
        assert {(y1 + 1, x1 + 1) for y1, x1, _, _ in found.tolist()} == inner
    # Source and target break their ties apart.
    assert not torch.equal(plan.source_boxes, plan.target_boxes)


class Recording(FineGrainedSaliency):
    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[int, bool]] = []

    def extreme(self, images, salient, pick):
        self.calls.append((len(images), salient))
        return super().extreme(images, salient, pick)


@pytest.mark.parametrize(
    "scheme, box_per, calls",
    [
        (MixOptions(source="random"), "sample", []),
        (MixOptions(source="salient"), "sample", [(SAMPLES, True)]),
        (MixOptions(source="random", target="non_salient"), "sample", [(SAMPLES, False)]),
        (MixOptions(source="salient", target="salient"), "sample", [(SAMPLES, True)] * 2),
        (MixOptions(source="non_salient", target="salient"), "sample", [(SAMPLES, False), (SAMPLES, True)]),
        (MixOptions(source="salient", target="non_salient"), "batch", [(1, True), (1, False)]),
    ],
)
def test_the_detector_is_called_only_where_the_scheme_needs_it(photographs, scheme, box_per, calls):
    detector = Recording()
    plan_mix(photographs, draw(SAMPLES, [0.5]), replace(scheme, box_per=box_per), detector)
    assert detector.calls == calls
