"""SaliencyMix inside mmpretrain on a GPU: the CPU's batch, in half precision too, and without waiting."""

import pytest
import torch

pytest.importorskip("mmpretrain")

from mmpretrain.models import ClsDataPreprocessor
from mmpretrain.registry import BATCH_AUGMENTS
from mmpretrain.structures import DataSample

import smix_mm  # noqa: F401  (registers)
from smix_mm.saliency.normalization import CHECKED_GPU_BATCHES

MEAN, STD = [125.3, 123.0, 113.9], [63.0, 62.1, 66.7]
SAMPLES = 16


@pytest.fixture
def normalized():
    generator = torch.Generator().manual_seed(1)
    images = torch.randint(0, 256, (SAMPLES, 3, 24, 31), generator=generator).float()
    return (images - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)


def build(**options):
    torch.manual_seed(11)
    return BATCH_AUGMENTS.build(dict(type="SaliencyMix", mean=MEAN, std=STD) | options)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_batches_equal_the_cpus(dtype, layout, device, normalized):
    ours, expected = build(), build()
    images = normalized.to(dtype).contiguous(memory_format=layout)
    for _ in range(3):
        mixed, scores = ours(images.to(device), torch.eye(SAMPLES).to(device))
        cpu_mixed, cpu_scores = expected(images, torch.eye(SAMPLES))
        assert mixed.device.type == device and mixed.dtype == dtype and mixed.is_contiguous(memory_format=layout)
        assert torch.equal(mixed.cpu(), cpu_mixed) and torch.equal(scores.cpu(), cpu_scores)


@pytest.mark.parametrize("augment", ["PaperResizeMix", "GuidedMixup", "RecursiveMix", "SaliencyMix"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_rivals_and_labels_by_saliency_equal_the_cpus(augment, dtype, device, normalized):
    own = dict(type=augment)
    if augment in ("GuidedMixup", "SaliencyMix"):
        own.update(mean=MEAN, std=STD)
    own.update(dict(label="saliency") if augment == "SaliencyMix" else {})
    ours, expected = BATCH_AUGMENTS.build(own), BATCH_AUGMENTS.build(own)
    torch.manual_seed(11)
    images = normalized.to(dtype)
    for _ in range(2):
        mixed, scores = ours(images.to(device), torch.eye(SAMPLES).to(device))
        cpu_mixed, cpu_scores = expected(images, torch.eye(SAMPLES))
        assert mixed.device.type == device and mixed.dtype == dtype
        tolerance = 1e-4 if dtype == torch.float32 else 2e-2
        torch.testing.assert_close(mixed.cpu(), cpu_mixed, atol=tolerance, rtol=tolerance)
        torch.testing.assert_close(scores.cpu(), cpu_scores, atol=1e-5, rtol=0)


def test_a_preprocessor_under_autocast_mixes_as_without(device):
    pixels = torch.randint(0, 256, (SAMPLES, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(2))
    augments = dict(type="SaliencyMix", mean=MEAN, std=STD)

    def mixed(enabled):
        torch.manual_seed(5)
        preprocessor = ClsDataPreprocessor(
            mean=MEAN, std=STD, num_classes=10, batch_augments=dict(augments=augments, probs=1.0)
        ).to(device)
        samples = [DataSample().set_gt_label(index % 10) for index in range(SAMPLES)]
        with torch.autocast(device, torch.bfloat16, enabled=enabled):
            batch = preprocessor(dict(inputs=pixels, data_samples=samples), training=True)
        return batch["inputs"], torch.stack([sample.gt_score for sample in batch["data_samples"]])

    assert all(torch.equal(*pair) for pair in zip(mixed(True), mixed(False)))


@pytest.mark.gpu
def test_after_the_batches_that_are_checked_it_never_waits(normalized, forbid_waiting):
    augment, images, scores = build(), normalized.cuda(), torch.eye(SAMPLES).cuda()
    for _ in range(CHECKED_GPU_BATCHES):
        augment(images, scores)
    forbid_waiting(lambda: augment(images, scores))
