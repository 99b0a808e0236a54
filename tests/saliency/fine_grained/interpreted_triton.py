"""The Triton kernel under Triton's interpreter, on the CPU; `test_triton_kernel.py` runs this file.

TRITON_INTERPRET=1 must be set before the kernel is imported, so this needs a process of its own.
"""

import logging

import numpy as np
import pytest
import torch
import triton
import triton.language as tl
from PIL import Image

from smix_mm.mixing import paste, paste_kernel
from smix_mm.saliency import FineGrainedSaliency
from smix_mm.saliency.fine_grained import triton_kernel as gpu
from smix_mm.saliency.fine_grained import triton_map_programs as programs
from smix_mm.saliency.fine_grained.detector import gpu_kernel
from smix_mm.saliency.normalization import NormalizedImages

SHARES = (0.0, 0.37, 1 - 2**-53)
DEFINITION = FineGrainedSaliency("torch")


@pytest.fixture
def detector() -> FineGrainedSaliency:
    return FineGrainedSaliency("triton")


def assert_same(detector: FineGrainedSaliency, images: torch.Tensor) -> None:
    """The same floats, and the same places of peak and least salient point."""
    before = images.clone()
    assert torch.equal(detector(images), DEFINITION(images))
    for salient in (True, False):
        assert_same_extreme(detector, images, salient, None)
    assert torch.equal(images, before)


def assert_same_extreme(detector, images, salient, pick) -> None:
    points, found = detector.extreme(images, salient, pick)
    expected_points, expected_found = DEFINITION.extreme(images, salient, pick)
    assert points.dtype == torch.int64 and found.dtype == torch.bool
    assert torch.equal(points, expected_points) and torch.equal(found, expected_found)


@pytest.fixture
def tall_blocks(monkeypatch) -> None:
    """Programs of many rows: the interpreter's time goes by steps, whatever their size."""
    for name, value in dict(ROWS=32, STEPS=2, BLUR_ROWS=32, BLUR_STEPS=2).items():
        monkeypatch.setattr(gpu, name, value)


@pytest.fixture
def no_small_programs(monkeypatch) -> None:
    """Small images go the way of large ones."""
    monkeypatch.setattr(gpu, "SMALL", 0)


NAMES = ("noise", "bright noise", "diagonal gradient", "checkerboard", "one bright pixel", "flat")


@pytest.mark.parametrize("size", [(3, 3), (3, 7), (17, 5), (32, 32), (33, 40), (64, 64)])
def test_small_images_equal_the_definition(detector, size, made_up_images):
    uint8_images = made_up_images(*size)
    assert_same(detector, torch.stack([uint8_images[name] for name in NAMES]))


@pytest.mark.parametrize("size", [(17, 5), (33, 40), (65, 70)])
def test_large_images_equal_the_definition(detector, size, made_up_images, tall_blocks, no_small_programs):
    uint8_images = made_up_images(*size)
    assert_same(detector, torch.stack([uint8_images[name] for name in NAMES]))


def test_a_gpus_own_launch_parameters_give_the_definition(detector, made_up_images):
    # More rows than a strip of the blur and than a program of the centre-surround differences.
    assert (gpu.BLUR_ROWS, gpu.BLUR_STEPS, gpu.ROWS, gpu.STEPS) == (1, 32, 2, 8)
    image = made_up_images(67, 68)["noise"][None]
    assert torch.equal(detector(image), DEFINITION(image))
    assert_same_extreme(detector, image, True, None)


def test_a_kernel_that_computes_another_map_is_not_used_and_a_warning_is_logged(monkeypatch, caplog):
    device = torch.device("cpu")
    assert gpu_kernel(device) is gpu
    gpu_kernel.cache_clear()
    monkeypatch.setattr(gpu, "_small", lambda images, maps, *others, **options: maps.zero_())
    try:
        with caplog.at_level(logging.WARNING, logger="smix_mm"):
            assert gpu_kernel(device) is None
        assert "RuntimeError: its map of 17x19 pixels differs from the definition's" in caplog.text
    finally:
        gpu_kernel.cache_clear()


def test_a_wrong_paste_is_not_used_and_a_warning_is_logged(monkeypatch, caplog):
    device = torch.device("cpu")
    assert paste_kernel.works(device)
    paste_kernel.works.cache_clear()
    monkeypatch.setattr(paste_kernel, "paste", lambda images, *others: images.clone())
    try:
        with caplog.at_level(logging.WARNING, logger="smix_mm"):
            assert not paste_kernel.works(device)
        assert "the Triton kernel cannot paste on cpu (its result is wrong)" in caplog.text
    finally:
        paste_kernel.works.cache_clear()


@triton.jit
def difference_kernel(centre, total, area, difference, size, BLOCK: tl.constexpr):
    place = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    pixels = tl.load(area + place)
    # The worst that an approximate division may do: two units in the last place too much.
    inverse = (1.0 / pixels) * (1.0 + 2.4e-7)
    value, of_it = programs._difference(tl.load(centre + place), tl.load(total + place), pixels, inverse, False)
    tl.store(difference + place, value)
    tl.store(size + place, of_it)


@pytest.mark.parametrize("area", [23, 24, 36, 143, 144, 575, 576, 2303, 3136, 12544, 40000, 50175, 50176])
def test_differences_are_the_truncated_float_quotients_of_the_definition(area):
    # For every grey value the sums at which the difference turns from one whole number to the next, and beside them.
    centre, step, beside = torch.meshgrid(
        torch.arange(256), torch.arange(-255, 256, 5), torch.arange(-2, 3), indexing="ij"
    )
    total = (centre + (centre - step) * (area - 1) + beside).flatten()
    allowed = (total >= centre.flatten() - 2) & (total <= 255 * area)
    centre, total = centre.flatten()[allowed].float(), total[allowed].float()
    expected = centre - (total - centre) / torch.tensor(float(area - 1))
    number = len(total) // 4096 * 4096
    found, size = torch.empty(2, number)
    areas = torch.full((number,), float(area))
    difference_kernel[(number // 4096,)](centre, total, areas, found, size, BLOCK=4096)
    assert number and torch.equal(found, expected[:number].trunc() + 0.0)
    assert torch.equal(size, found.abs())


MEAN, STD = torch.tensor([123.675, 116.28, 103.53]), torch.tensor([58.395, 57.12, 57.375])


@pytest.mark.parametrize("size", [(16, 19), (66, 30)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.float64])
@pytest.mark.parametrize("bgr", [False, True])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_normalized_images_are_read_as_the_bytes_that_they_round_to(
    size, dtype, bgr, layout, made_up_images, tall_blocks
):
    image = made_up_images(*size)["noise"][None]
    values = ((image - MEAN[:, None, None]) / STD[:, None, None]).to(dtype).contiguous(memory_format=layout)
    normalized = NormalizedImages(values, MEAN, STD, bgr=bgr)
    rounded = normalized.to_uint8()
    assert torch.equal(gpu.saliency(normalized), DEFINITION(rounded))
    points, found = gpu.extreme(normalized, True, None)
    assert torch.equal(points, DEFINITION.extreme(rounded, True, None)[0]) and bool(found.all())


def test_normalized_images_in_torchvisions_units_are_read_so(made_up_images):
    image = made_up_images(16, 19)["noise"][None]
    values = (image / 255 - MEAN[:, None, None] / 255) / (STD[:, None, None] / 255)
    normalized = NormalizedImages(values, MEAN / 255, STD / 255, unit=1)
    assert torch.equal(normalized.to_uint8(), image)
    assert torch.equal(gpu.saliency(normalized), DEFINITION(image))


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32, torch.float16])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_the_compiled_paste_equals_the_plain_one(dtype, layout):
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (4, 3, 9, 11), generator=generator).to(dtype).contiguous(memory_format=layout)
    partner = torch.tensor([2, 0, 3, 3])
    target = torch.tensor([[0, 0, 9, 11], [2, 3, 5, 8], [0, 0, 0, 0], [8, 10, 9, 11]])
    source = torch.tensor([[0, 0, 9, 11], [6, 0, 9, 5], [0, 0, 0, 0], [0, 0, 1, 1]])
    mixed = paste_kernel.paste(images, partner, source, target)
    assert torch.equal(mixed, paste(images, partner, source, target, same_place=False))
    assert mixed.stride() == images.stride() and mixed.dtype == dtype


def test_equals_the_definition_on_photographs(detector):
    data = pytest.importorskip("skimage.data")
    photographs = [data.astronaut(), data.chelsea()]
    small = [np.array(Image.fromarray(each).resize((64, 64))) for each in photographs]
    assert_same(detector, torch.from_numpy(np.stack(small)).permute(0, 3, 1, 2))


def test_equals_the_definition_where_an_image_is_wider_than_a_block(detector, made_up_images, tall_blocks):
    assert_same(detector, made_up_images(5, 261)["noise"][None])


def test_equals_the_definition_where_float_sums_are_no_longer_exact(detector, made_up_images, tall_blocks):
    # White in front, so that whole numbers above 2**24, odd ones too, are summed.
    uint8_image = made_up_images(270, 257)["bright noise"].clone()
    uint8_image[:, :200] = 255
    images = uint8_image[None]
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
def test_any_memory_layout_gives_the_same_map(detector, layout, made_up_images, tall_blocks, monkeypatch):
    laid_out = layout(torch.stack([made_up_images(12, 19)[name] for name in ("noise", "half white")]))
    assert not laid_out.is_contiguous()
    for small in (64, 0):
        monkeypatch.setattr(gpu, "SMALL", small)
        assert torch.equal(detector(laid_out), DEFINITION(laid_out.contiguous()))


@pytest.mark.parametrize("share", SHARES)
def test_the_same_of_equal_extremes_is_picked(detector, share, made_up_images, tall_blocks, monkeypatch):
    uint8_images = made_up_images(16, 16)
    images = torch.stack([uint8_images[name] for name in ("half white", "coarse checkerboard", "black")])
    pick = torch.full((len(images),), share, dtype=torch.float64)
    for small in (64, 0):
        monkeypatch.setattr(gpu, "SMALL", small)
        for salient in (True, False):
            assert_same_extreme(detector, images, salient, pick)


def test_extremes_are_found_across_several_blocks(detector, made_up_images, tall_blocks):
    images = made_up_images(96, 100)["horizontal gradient"][None]
    for pick in (None, torch.tensor([0.8], dtype=torch.float64)):
        assert_same_extreme(detector, images, True, pick)


def test_a_batch_in_parts_gives_the_same(detector, monkeypatch, made_up_images, tall_blocks, no_small_programs):
    monkeypatch.setattr(gpu, "PART_PIXELS", 8 * 9)
    uint8_image = made_up_images(8, 9)["noise"]
    images = torch.stack([uint8_image.roll(shift, 2) for shift in range(3)])
    assert_same(detector, images)
    assert_same_extreme(detector, images, False, torch.linspace(0, 0.9, 3, dtype=torch.float64))


def test_no_images_give_no_maps(detector):
    nothing = torch.zeros(0, 3, 9, 7, dtype=torch.uint8)
    assert detector(nothing).shape == (0, 9, 7)
    assert detector.peak(nothing).shape == (0, 2)


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
def test_traces_into_one_graph(detector, backend, made_up_images):
    images = made_up_images(6, 7)["noise"][None]
    compiled = torch.compile(
        lambda uint8_images: (detector(uint8_images), detector.peak(uint8_images)), backend=backend, fullgraph=True
    )
    maps, peaks = compiled(images)
    assert torch.equal(maps, DEFINITION(images)) and torch.equal(peaks, DEFINITION.peak(images))
