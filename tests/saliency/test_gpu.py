"""Detectors on a GPU give what they give on the CPU, never wait, and go into CUDA graphs and `torch.compile`."""

import pytest
import torch

from smix_mm.saliency import (
    FineGrainedSaliency,
    FrequencyTunedSaliency,
    NetworkSaliency,
    OpenCVSaliency,
    SpectralResidualSaliency,
)

CPU = FineGrainedSaliency()
# Narrower than a warp, sides that are no multiple of a block, wider than a block.
SIZES = [(3, 3), (3, 17), (17, 3), (29, 31), (32, 32), (33, 40), (64, 64), (5, 261)]
# From 257x256 on, sums are larger than the whole numbers that float32 has.
LARGE = [(224, 224), (225, 227), (257, 256), (375, 500), (500, 375), (3, 2049), (1100, 1300)]
# Images that have contrast at any size: without any, another order of sums may decide what is found.
WITH_CONTRAST = ("noise", "bright noise", "grey noise", "horizontal gradient", "vertical gradient", "half white")
LAYOUTS = {
    "contiguous": lambda images: images,
    "channels last": lambda images: images.contiguous(memory_format=torch.channels_last),
    "transposed": lambda images: images.transpose(2, 3).contiguous().transpose(2, 3),
    "every second column": lambda images: images.repeat_interleave(2, 3)[:, :, :, ::2],
    "every second image": lambda images: images.repeat_interleave(2, 0)[::2],
    "expanded grey": lambda images: images[:, :1].expand(-1, 3, -1, -1),
    "cut out": lambda images: torch.nn.functional.pad(images, (1, 2, 3, 4))[:, :, 3:-4, 1:-2],
}


def network() -> NetworkSaliency:
    class Brightness(torch.nn.Module):
        def forward(self, images):
            return images.mean(1, keepdim=True)

    return NetworkSaliency(Brightness(), input_size=(24, 24))


# The largest difference of a map that floats of another order of sums may make.
OTHERS = {
    "spectral residual": (SpectralResidualSaliency, 1e-4),
    "frequency tuned": (FrequencyTunedSaliency, 1e-4),
    "network": (network, 1e-4),
}


@pytest.fixture
def images(made_up_images):
    """A function that gives a batch of made-up images of a height and width on a device."""
    return lambda height, width, device: torch.stack(list(made_up_images(height, width).values())).to(device)


def assert_equals_the_cpu(detector, on_device):
    on_cpu = on_device.cpu().contiguous()
    maps = detector(on_device)
    assert maps.device == on_device.device and maps.dtype == torch.float32
    assert torch.equal(maps.cpu(), CPU(on_cpu))
    generator = torch.Generator().manual_seed(0)
    for dtype in (None, torch.float64, torch.float32):
        pick = None if dtype is None else torch.rand(len(on_cpu), dtype=dtype, generator=generator)
        for salient in (True, False):
            points, found = detector.extreme(on_device, salient, pick)
            expected_points, expected_found = CPU.extreme(on_cpu, salient, pick)
            assert points.dtype == torch.int64 and found.dtype == torch.bool
            assert torch.equal(found.cpu(), expected_found)
            assert torch.equal(points.cpu(), expected_points)


@pytest.mark.parametrize("height, width", SIZES)
@pytest.mark.parametrize("backend", ["auto", "torch"])
def test_fine_grained_map_and_extremes_equal_the_cpus(backend, height, width, device, images):
    assert_equals_the_cpu(FineGrainedSaliency(backend), images(height, width, device))


@pytest.mark.gpu
@pytest.mark.parametrize("height, width", LARGE)
@pytest.mark.parametrize("backend", ["triton", "torch"])
def test_fine_grained_map_and_extremes_of_large_images_equal_the_cpus(backend, height, width, images):
    assert_equals_the_cpu(FineGrainedSaliency(backend), images(height, width, "cuda"))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("height, width", [(12, 19), (65, 130)])
def test_any_memory_layout_gives_the_same_map_and_stays_unchanged(layout, height, width, device, images):
    laid_out = LAYOUTS[layout](images(height, width, device))
    before = laid_out.clone()
    assert_equals_the_cpu(FineGrainedSaliency(), laid_out)
    assert torch.equal(laid_out, before)


def test_no_images_give_no_maps_and_one_image_gives_its_own(device, images):
    detector, batch = FineGrainedSaliency(), images(20, 31, device)
    assert detector(batch[:0]).shape == (0, 20, 31) and detector.peak(batch[:0]).shape == (0, 2)
    assert torch.equal(detector(batch[3:4]), detector(batch)[3:4])


@pytest.mark.parametrize("name", OTHERS)
@pytest.mark.parametrize("height, width", [(17, 33), (64, 64), (224, 224)])
def test_other_detectors_agree_with_the_cpu(name, height, width, device, made_up_images):
    make, tolerance = OTHERS[name]
    images = made_up_images(height, width)
    detector, on_cpu = make(), torch.stack([images[each] for each in WITH_CONTRAST])
    expected, maps = detector(on_cpu), detector(on_cpu.to(device))
    assert maps.device.type == device and maps.dtype == torch.float32
    assert (maps.cpu() - expected).abs().max() <= tolerance
    for salient in (True, False):
        points, found = (result.cpu() for result in detector.extreme(on_cpu.to(device), salient, None))
        assert found.all()
        # Where several pixels are as good but for rounding, each is right.
        reached = expected[torch.arange(len(points)), points[:, 0], points[:, 1]]
        extreme = expected.amax((1, 2)) if salient else expected.amin((1, 2))
        assert (reached - extreme).abs().max() <= 2 * tolerance


def test_opencvs_detector_takes_images_of_any_device(device, images):
    try:
        detector = OpenCVSaliency()
    except ImportError as error:
        pytest.skip(str(error))
    batch = images(40, 53, device)
    assert torch.equal(detector(batch).cpu(), detector(batch.cpu())) and detector(batch).device.type == device


@pytest.mark.gpu
def test_large_batch_equals_the_cpu_and_needs_at_most_three_times_its_memory():
    images = torch.randint(0, 256, (256, 3, 224, 224), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    on_gpu, detector = images.cuda(), FineGrainedSaliency("triton")
    detector(on_gpu[:1])
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    maps = detector(on_gpu)
    assert torch.cuda.max_memory_allocated() - before <= 3 * images.numel()
    assert torch.equal(maps.cpu(), CPU(images))


@pytest.mark.gpu
def test_a_cuda_graph_replays_on_new_images(images):
    batch, detector = images(224, 224, "cuda"), FineGrainedSaliency("triton")
    static = batch.clone()
    detector(static), detector.peak(static)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        maps, peaks = detector(static), detector.peak(static)
    fresh = batch.flip(3)
    static.copy_(fresh)
    graph.replay()
    assert torch.equal(maps, detector(fresh)) and torch.equal(peaks, detector.peak(fresh))


def test_compiles_into_one_graph(device, images):
    batch, detector = images(33, 40, device), FineGrainedSaliency()

    def detect(images):
        return detector(images) * 2, detector.peak(images)

    compiled = torch.compile(detect, fullgraph=True, backend="inductor" if device == "cuda" else "eager")
    maps, peaks = compiled(batch)
    assert torch.equal(maps, detector(batch) * 2) and torch.equal(peaks, detector.peak(batch))


@pytest.mark.gpu
@pytest.mark.parametrize("ties", ["first", "random"])
def test_never_waits_for_the_gpu(images, ties, forbid_waiting):
    batch, detector = images(224, 224, "cuda"), FineGrainedSaliency("triton")

    def detect():
        return detector(batch), detector.peak(batch, ties), detector.least_salient_point(batch, ties)

    detect()
    forbid_waiting(detect)
