"""The Triton kernel under Triton's interpreter, on the CPU; `test_triton_kernel.py` runs this file.

TRITON_INTERPRET=1 must be set before the kernel is imported, so this needs a process of its own.
"""

import numpy as np
import pytest
import torch
from PIL import Image

from smix_mm.saliency import FineGrainedSaliency
from smix_mm.saliency.kernels import gpu

SHARES = (0.0, 0.37, 1 - 2**-53)
DEFINITION = FineGrainedSaliency("torch")


@pytest.fixture
def detector() -> FineGrainedSaliency:
    return FineGrainedSaliency("triton")


def assert_same(detector: FineGrainedSaliency, images: torch.Tensor) -> None:
    """The same floats, and the same places of peak and trough."""
    before = images.clone()
    assert torch.equal(detector(images), DEFINITION(images))
    for salient in (True, False):
        assert_same_extreme(detector, images, salient, None)
    assert torch.equal(images, before)


def assert_same_extreme(detector, images, salient, pick) -> None:
    points, found = detector.extreme(images, salient, pick)
    wanted_points, wanted_found = DEFINITION.extreme(images, salient, pick)
    assert points.dtype == torch.int64 and found.dtype == torch.bool
    assert torch.equal(points, wanted_points) and torch.equal(found, wanted_found)


@pytest.mark.parametrize("size", [(3, 3), (17, 5), (33, 40)])
def test_equals_the_definition_on_made_up_pictures(detector, size, made_up_pictures):
    names = ("noise", "bright noise", "diagonal gradient", "checkerboard", "one bright pixel", "flat")
    pictures = made_up_pictures(*size)
    assert_same(detector, torch.stack([pictures[name] for name in names]))


def test_equals_the_definition_on_photographs(detector):
    data = pytest.importorskip("skimage.data")
    photographs = [data.astronaut(), data.chelsea()]
    small = [np.array(Image.fromarray(each).resize((64, 64))) for each in photographs]
    assert_same(detector, torch.from_numpy(np.stack(small)).permute(0, 3, 1, 2))


def test_equals_the_definition_where_a_picture_is_wider_than_a_block(detector, made_up_pictures):
    assert_same(detector, made_up_pictures(5, 261)["noise"][None])


def test_equals_the_definition_where_float_sums_are_no_longer_exact(detector, made_up_pictures):
    # White in front, so that whole numbers above 2**24, odd ones too, are summed.
    picture = made_up_pictures(270, 257)["bright noise"].clone()
    picture[:, :200] = 255
    images = picture[None]
    assert images.shape[2] * images.shape[3] * 250 > 1 << 24
    assert torch.equal(detector(images), DEFINITION(images))


@pytest.mark.parametrize(
    "layout",
    [
        lambda images: images.contiguous(memory_format=torch.channels_last),
        lambda images: images.transpose(2, 3).contiguous().transpose(2, 3),
        lambda images: images.repeat_interleave(2, 3)[:, :, :, ::2],
        lambda images: images[:, :1].expand(-1, 3, -1, -1),
    ],
    ids=["channels_last", "transposed", "every second column", "expanded grey"],
)
def test_any_memory_layout_gives_the_same_map(detector, layout, made_up_pictures):
    laid_out = layout(torch.stack([made_up_pictures(12, 19)[name] for name in ("noise", "half white")]))
    assert not laid_out.is_contiguous()
    assert torch.equal(detector(laid_out), DEFINITION(laid_out.contiguous()))


@pytest.mark.parametrize("share", SHARES)
def test_the_same_of_equal_extremes_is_picked(detector, share, made_up_pictures):
    pictures = made_up_pictures(16, 16)
    images = torch.stack([pictures[name] for name in ("half white", "coarse checkerboard", "black")])
    pick = torch.full((len(images),), share, dtype=torch.float64)
    for salient in (True, False):
        assert_same_extreme(detector, images, salient, pick)


def test_extremes_are_found_across_several_blocks(detector, made_up_pictures):
    images = made_up_pictures(96, 100)["horizontal gradient"][None]
    for pick in (None, torch.tensor([0.8], dtype=torch.float64)):
        assert_same_extreme(detector, images, True, pick)


def test_a_batch_in_parts_gives_the_same(detector, monkeypatch, made_up_pictures):
    monkeypatch.setattr(gpu, "PART_PIXELS", 8 * 9)
    picture = made_up_pictures(8, 9)["noise"]
    images = torch.stack([picture.roll(shift, 2) for shift in range(3)])
    assert_same(detector, images)
    assert_same_extreme(detector, images, False, torch.linspace(0, 0.9, 3, dtype=torch.float64))


def test_no_pictures_give_no_maps(detector):
    nothing = torch.zeros(0, 3, 9, 7, dtype=torch.uint8)
    assert detector(nothing).shape == (0, 9, 7)
    assert detector.peak(nothing).shape == (0, 2)


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
def test_traces_into_one_graph(detector, backend, made_up_pictures):
    images = made_up_pictures(6, 7)["noise"][None]
    compiled = torch.compile(
        lambda pictures: (detector(pictures), detector.peak(pictures)), backend=backend, fullgraph=True
    )
    maps, peaks = compiled(images)
    assert torch.equal(maps, DEFINITION(images)) and torch.equal(peaks, DEFINITION.peak(images))
