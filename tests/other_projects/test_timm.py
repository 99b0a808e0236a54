"""SaliencyMix in timm's loaders and training loop."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import Dataset

from smix_mm.mixing.transforms import SaliencyMixCollate, SaliencyMixTransform

timm = pytest.importorskip("timm")
CLASSES = 4


class Images(Dataset):
    """PIL images; timm's loader sets the transform."""

    transform = None

    def __len__(self) -> int:
        return 16

    def __getitem__(self, index: int):
        pixels = np.random.default_rng(index).integers(0, 256, (32, 32, 3), dtype=np.uint8)
        return self.transform(Image.fromarray(pixels)), index % CLASSES


def loader(prefetch: bool, collate):
    torch.manual_seed(0)
    return timm.data.create_loader(
        Images(),
        input_size=(3, 32, 32),
        batch_size=8,
        is_training=True,
        no_aug=True,
        use_prefetcher=prefetch,
        num_workers=0,
        collate_fn=collate,
        device=torch.device("cpu"),
        persistent_workers=False,
    )


def test_timms_prefetching_loader_normalises_the_mixed_batches_of_the_collate_function():
    collate = SaliencyMixCollate(CLASSES, collate=timm.data.loader.fast_collate)
    images, targets = next(iter(loader(True, collate)))
    assert images.dtype == torch.float32 and targets.shape == (8, CLASSES)
    assert bool(((targets > 0) & (targets < 1)).any()) and float(images.min()) < -1
    torch.testing.assert_close(targets.sum(1), torch.ones(8))


def test_it_replaces_timms_mixup_function_on_normalised_batches():
    """Called as in timm's train script, with timm's loss for mixed targets."""
    from timm.loss import SoftTargetCrossEntropy
    from timm.optim import create_optimizer_v2

    mean, std = timm.data.constants.IMAGENET_DEFAULT_MEAN, timm.data.constants.IMAGENET_DEFAULT_STD
    mixup_fn = SaliencyMixTransform(CLASSES, mean=mean, std=std)
    torch.manual_seed(0)
    model = timm.create_model("resnet18", num_classes=CLASSES)
    loss_fn, optimizer = SoftTargetCrossEntropy(), create_optimizer_v2(model, "sgd", lr=0.1)
    before = model.fc.weight.clone()
    for prefetch in (True, False):
        for images, labels in loader(prefetch, None):
            mixed, targets = mixup_fn(images, labels)
            assert not torch.equal(mixed, images)
            loss = loss_fn(model(mixed), targets)
            assert torch.isfinite(loss)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    assert not torch.equal(model.fc.weight, before)
    mixup_fn.mixup_enabled = False  # timm does this at --mixup-off-epoch
    assert mixup_fn(images, labels)[0] is images
