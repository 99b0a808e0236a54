"""The default detector equals OpenCV's on every pixel, with every backend."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from smix_mm.saliency import FineGrainedSaliency, OpenCVSaliency, build_detector

cv2 = pytest.importorskip("cv2")

SIZES = [(32, 32), (64, 64), (224, 224), (225, 161), (375, 500)]
BACKENDS = ["torch", "numba"]


@pytest.fixture(params=BACKENDS)
def detector(request) -> FineGrainedSaliency:
    if request.param == "numba":
        pytest.importorskip("numba")
    return FineGrainedSaliency(request.param)


def assert_equals_opencv(detector: FineGrainedSaliency, images: Tensor, reference: Tensor) -> None:
    maps = detector(images)
    assert maps.dtype == torch.float32 and maps.shape == reference.shape
    different = ((maps * 255).round() != (reference * 255).round()).flatten(1).sum(1)
    assert not different.any(), f"pixels that differ, image by image: {different.tolist()}"


@pytest.mark.parametrize("source", ["data_images", "skimage_images"])
@pytest.mark.parametrize("size", SIZES)
def test_equals_opencv_on_photographs(size, source, request, opencv_map, as_batch):
    uint8_images = request.getfixturevalue(source)
    resized = [cv2.resize(uint8_image, size[::-1], interpolation=cv2.INTER_AREA) for uint8_image in uint8_images]
    for first in range(0, len(resized), 16):
        images = torch.cat([as_batch(uint8_image) for uint8_image in resized[first : first + 16]])
        reference = opencv_map(images)
        assert reference.amax() == 1
        for backend in BACKENDS:
            assert_equals_opencv(FineGrainedSaliency(backend), images, reference)


@pytest.mark.parametrize("size", [(3, 3), (3, 40), (40, 3), *SIZES])
def test_equals_opencv_on_made_up_images(detector, size, opencv_map, made_up_images):
    images = torch.stack(list(made_up_images(*size).values()))
    assert_equals_opencv(detector, images, opencv_map(images))


def test_equals_opencv_where_its_float_sums_are_no_longer_exact(detector, opencv_map, made_up_images):
    uint8_images = made_up_images(1100, 1300)
    images = torch.stack([uint8_images["bright noise"], uint8_images["white"]])
    assert_equals_opencv(detector, images, opencv_map(images))


@settings(max_examples=300, deadline=None, derandomize=True)
@given(height=st.integers(3, 300), width=st.integers(3, 300), content=st.binary(min_size=1, max_size=3000))
def test_equals_opencv_on_any_bytes_at_any_size(height, width, content, as_batch):
    uint8_image = np.resize(np.frombuffer(content, np.uint8), (height, width, 3))
    images = as_batch(uint8_image)
    reference = OpenCVSaliency()(images)
    for backend in BACKENDS:
        assert_equals_opencv(FineGrainedSaliency(backend), images, reference)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    height=st.integers(3, 300),
    width=st.integers(3, 300),
    seed=st.integers(0, 2**32 - 1),
    levels=st.integers(1, 256),
)
def test_equals_opencv_on_noise_at_any_size(height, width, seed, levels, as_batch):
    uint8_image = np.random.default_rng(seed).integers(0, levels, (height, width, 3), np.uint8)
    images = as_batch(uint8_image)
    reference = OpenCVSaliency()(images)
    for backend in BACKENDS:
        assert_equals_opencv(FineGrainedSaliency(backend), images, reference)


def test_both_backends_give_the_same_floats(made_up_images):
    images = torch.stack(list(made_up_images(97, 61).values()))
    assert torch.equal(FineGrainedSaliency("numba")(images), FineGrainedSaliency("torch")(images))


def test_a_map_does_not_depend_on_its_batch(detector, made_up_images):
    images = torch.stack([made_up_images(32, 40)["noise"].roll(shift, 2) for shift in range(64)])
    maps = detector(images)
    for index in (0, 1, 63):
        assert torch.equal(maps[index : index + 1], detector(images[index : index + 1]))


@pytest.mark.parametrize(
    "layout",
    [
        lambda images: images.contiguous(memory_format=torch.channels_last),
        lambda images: images.transpose(2, 3).contiguous().transpose(2, 3),
        lambda images: torch.cat([images, images], 3)[:, :, :, : images.shape[3]],
        lambda images: images.repeat_interleave(2, 3)[:, :, :, ::2],
        lambda images: images.repeat_interleave(2, 0)[::2],
        lambda images: images.flip(1)[:, [2, 1, 0]],
    ],
    ids=["channels_last", "transposed", "slice", "every second column", "every second image", "copy"],
)
def test_any_memory_layout_gives_the_same_map_and_stays_unchanged(detector, layout, made_up_images):
    images = torch.stack([made_up_images(30, 47)[name] for name in ("noise", "half white", "grey noise")])
    laid_out = layout(images)
    assert torch.equal(detector(laid_out), detector(images))
    assert torch.equal(detector.peak(laid_out), detector.peak(images))
    assert torch.equal(laid_out, images)


def test_expanded_grey_image_needs_no_copy(detector, opencv_map, made_up_images):
    images = made_up_images(30, 47)["grey noise"].expand(2, 3, 30, 47)
    assert images.stride()[:2] == (0, 0)
    assert_equals_opencv(detector, images, opencv_map(images))


def test_no_images_give_no_maps(detector):
    nothing = torch.zeros(0, 3, 9, 7, dtype=torch.uint8)
    assert detector(nothing).shape == (0, 9, 7)
    assert detector.peak(nothing).shape == (0, 2)


def test_flat_image_gives_zeros(detector):
    assert not detector(torch.full((1, 3, 20, 20), 77, dtype=torch.uint8)).any()


def test_traces_into_one_graph_and_gives_the_same_map(made_up_images):
    images = made_up_images(24, 36)["noise"][None]
    detector = FineGrainedSaliency()
    compiled = torch.compile(lambda uint8_images: detector(uint8_images), backend="eager", fullgraph=True)
    assert torch.equal(compiled(images), detector(images))


def test_a_config_chooses_the_backend():
    assert build_detector({"type": "FineGrainedSaliency"}).backend == "auto"
    assert build_detector({"type": "FineGrainedSaliency", "backend": "torch"}).backend == "torch"


def test_unknown_backend_is_refused():
    with pytest.raises(ValueError, match="backend should be one of 'auto', 'torch', 'numba', 'triton', got 'gpu'"):
        FineGrainedSaliency("gpu")


def test_numba_refuses_images_that_are_not_on_the_cpu():
    images = torch.zeros(1, 3, 8, 8, dtype=torch.uint8, device="meta")
    with pytest.raises(ValueError, match="images should be on a CPU for backend='numba', got meta"):
        FineGrainedSaliency("numba")(images)


@pytest.mark.parametrize(
    ("images", "error", "message"),
    [
        (torch.zeros(1, 3, 8, 8), TypeError, "images should be a uint8 tensor, got torch.float32"),
        (np.zeros((1, 3, 8, 8), np.uint8), TypeError, "images should be a uint8 tensor, got ndarray"),
        (
            torch.zeros(3, 8, 8, dtype=torch.uint8),
            ValueError,
            r"should have the shape \(N, 3, H, W\), .* got \(3, 8, 8\)",
        ),
        (torch.zeros(1, 1, 8, 8, dtype=torch.uint8), ValueError, r"got \(1, 1, 8, 8\)"),
        (torch.zeros(1, 3, 2, 8, dtype=torch.uint8), ValueError, "H and W at least 3"),
    ],
)
def test_wrong_images_are_refused(detector, images, error, message):
    for call in (detector, detector.peak, detector.least_salient_point):
        with pytest.raises(error, match=message):
            call(images)
