"""Mirrored padding: numpy's reflection exactly, with the crops and flips of the ordinary fast path."""

import numpy as np
import torch
from mmpretrain.registry import MODELS

MEAN, STD, PADDING = [125.3, 123.0, 113.9], [63.0, 62.1, 66.7], 4
IMAGES = torch.randint(1, 256, (50, 3, 32, 24), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def crop(kind: str, padding: int = PADDING, seed: int = 5) -> np.ndarray:
    """Images as the preprocessor cuts them, in bytes."""
    preprocessor = MODELS.build(dict(type=kind, mean=MEAN, std=STD, num_classes=2, padding=padding))
    torch.manual_seed(seed)
    out = preprocessor(dict(inputs=IMAGES), training=True)["inputs"]
    assert out.is_contiguous(memory_format=torch.channels_last) and out.dtype == torch.float32
    pixels = out * torch.tensor(STD).view(3, 1, 1) + torch.tensor(MEAN).view(3, 1, 1)
    return pixels.round().to(torch.uint8).numpy()


def test_crops_are_cut_from_the_mirrored_image_at_the_places_drawn():
    found = crop("ReflectClsDataPreprocessor")
    black = crop("InMemoryClsDataPreprocessor")
    wide = np.pad(IMAGES.numpy(), ((0, 0), (0, 0), (PADDING, PADDING), (PADDING, PADDING)), mode="reflect")
    seen = set()
    for image, own, blackened in zip(wide, found, black):
        places = [
            (top, left, flip)
            for top in range(2 * PADDING + 1)
            for left in range(2 * PADDING + 1)
            for flip in (1, -1)
            if np.array_equal(image[:, top : top + 32, left : left + 24][:, :, ::flip], own)
        ]
        assert len(places) == 1
        seen.add(places[0])
        # No pixel of the images is black, so what is black in the other way is its padding.
        inside = blackened.any(0)
        assert np.array_equal(own[:, inside], blackened[:, inside])
        assert not inside.all() or places[0][:2] == (PADDING, PADDING)
    assert len(seen) > 30


def test_without_padding_nothing_is_cut():
    assert np.array_equal(crop("ReflectClsDataPreprocessor", 0), crop("InMemoryClsDataPreprocessor", 0))
