"""Mixing on a GPU: the CPU's batch in every precision and layout, without waiting, compiled, and captured."""

import shutil

import pytest
import torch

from smix_mm import saliency_mix
from smix_mm.mixing import MixOptions, draw_mix
from smix_mm.mixing.functional import apply_mix
from smix_mm.mixing.plan import mix_numbers
from smix_mm.saliency import FineGrainedSaliency

SAMPLES, CLASSES = 12, 5
OPTIONS = [
    dict(),
    dict(source="non_salient", ties="random"),
    dict(source="random"),
    dict(target="salient"),
    dict(target="non_salient", border="clip", ties="random"),
    dict(box_per="batch"),
    dict(lam_per="batch", border="clip"),
]
DTYPES = [torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.uint8]
LAYOUTS = [torch.contiguous_format, torch.channels_last]


def batch(device: str, seed: int = 7) -> tuple[torch.Tensor, torch.Tensor]:
    """uint8 images and one-hot targets."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (SAMPLES, 3, 40, 53), dtype=torch.uint8, generator=generator)
    targets = torch.eye(CLASSES)[torch.arange(SAMPLES) % CLASSES]
    return images.to(device), targets.to(device)


def mix(images, uint8_images, targets, **options):
    return saliency_mix(
        images, targets, uint8_images=uint8_images, generator=torch.Generator().manual_seed(0), **options
    )


def assert_same(one, other):
    for ours, expected in zip(one, other):
        assert ours.dtype == expected.dtype
        assert torch.equal(ours.cpu(), expected.cpu())


@pytest.mark.parametrize("options", OPTIONS, ids=lambda options: "-".join(options.values()) or "the method")
def test_a_batch_equals_the_cpus(options, device):
    uint8_images, targets = batch(device)
    mixed = mix(uint8_images.double(), uint8_images, targets, **options)
    assert all(tensor.device.type == device for tensor in mixed)
    on_cpu, cpu_targets = batch("cpu")
    assert_same(mixed, mix(on_cpu.double(), on_cpu, cpu_targets, **options))
    assert not torch.equal(mixed[0], uint8_images.double())


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("target", ["corresponding", "salient"])
def test_every_precision_and_layout_equals_the_cpus(dtype, layout, target, device):
    uint8_images, targets = batch(device)
    images = uint8_images.to(dtype).contiguous(memory_format=layout)
    mixed, mixed_targets = mix(images, uint8_images, targets, target=target)
    assert mixed.is_contiguous(memory_format=layout)
    on_cpu, cpu_targets = batch("cpu")
    assert_same((mixed, mixed_targets), mix(on_cpu.to(dtype), on_cpu, cpu_targets, target=target))


def test_class_numbers_and_floats_in_unit_range_equal_the_cpus(device):
    images, targets = batch("cpu")
    # On a GPU torch divides by a number as it multiplies by its reciprocal, which is not the same to the bit.
    images = images.float() / 255

    def mixed(on):
        given = images.to(on), targets.argmax(1).to(on)
        return saliency_mix(*given, num_classes=CLASSES, generator=torch.Generator().manual_seed(0))

    assert_same(mixed(device), mixed("cpu"))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_autocast_changes_nothing(dtype, device):
    uint8_images, targets = batch(device)
    images = uint8_images.float() / 255
    with torch.autocast(device, dtype):
        mixed = mix(images, uint8_images, targets)
    assert_same(mixed, mix(images, uint8_images, targets))


@pytest.mark.gpu
@pytest.mark.parametrize("options", OPTIONS, ids=lambda options: "-".join(options.values()) or "the method")
def test_never_waits_for_the_gpu(options, forbid_waiting):
    uint8_images, targets = batch("cuda")
    images, detector, generator = uint8_images.float(), FineGrainedSaliency(), torch.Generator()

    def run():
        return saliency_mix(
            images, targets, uint8_images=uint8_images, detector=detector, generator=generator, **options
        )

    run()
    forbid_waiting(run)


def test_compiled_it_gives_the_same_batch(device):
    """What draws stays outside of the compiled graphs, so a second call draws anew."""
    if device == "cuda" and not (shutil.which("g++") or shutil.which("clang++")):
        pytest.skip("no C++ compiler, with which torch.compile compiles what stays on the CPU")
    uint8_images, targets = batch(device)
    images = uint8_images.float()

    def run(generator):
        mixed, mixed_targets = saliency_mix(images, targets, uint8_images=uint8_images, generator=generator)
        return mixed * 2, mixed_targets

    compiled = torch.compile(run, backend="inductor" if device == "cuda" else "eager")
    ours, expected = torch.Generator().manual_seed(0), torch.Generator().manual_seed(0)
    batches = [compiled(ours), compiled(ours)]
    for (mixed, mixed_targets), (expected_images, expected_targets) in zip(batches, [run(expected), run(expected)]):
        assert torch.equal(mixed, expected_images)
        # A compiler may keep a product unrounded until it is added.
        torch.testing.assert_close(mixed_targets, expected_targets, rtol=0, atol=1e-6)
    assert not torch.equal(batches[0][0], batches[1][0])


def captured(call, device):
    """A function that repeats ``call``: by a CUDA graph on a GPU, as it is on the CPU."""
    if device == "cpu":
        return call
    call()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        result = call()

    def replay():
        graph.replay()
        return result

    return replay


def test_a_captured_mix_replays_with_new_images_and_draws(device):
    """The draw comes from the CPU; a graph has its numbers, as it has the images, in tensors of the device."""
    uint8_images, targets = batch(device)
    detector = FineGrainedSaliency()
    size = uint8_images.shape[2:]
    numbers = mix_numbers(draw_mix(SAMPLES, 1.0), *size, MixOptions()).to(torch.device(device))

    def run():
        return apply_mix(uint8_images, targets, uint8_images, numbers, MixOptions(), detector)

    replay = captured(run, device)
    for seed in range(3):
        fresh, _ = batch("cpu", seed)
        uint8_images.copy_(fresh)
        draw = draw_mix(SAMPLES, 1.0, torch.Generator().manual_seed(seed))
        numbers.copy_(mix_numbers(draw, *size, MixOptions()))
        expected = saliency_mix(fresh, targets.cpu(), generator=torch.Generator().manual_seed(seed))
        assert_same(replay(), expected)
