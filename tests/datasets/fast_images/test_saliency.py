"""The most salient point of crops of packed photographs, next to that of the same crops of the whole ones."""

from functools import partial

import cv2
import numpy as np
import pytest
import torch

pytest.importorskip("mmpretrain")

from smix_mm.datasets.fast_images.loading import LoadRandomResizedCrop
from smix_mm.datasets.prepare.pack import _encode
from smix_mm.saliency import FineGrainedSaliency
from smix_mm.utils.random_state import preserved_random_state

SIDE = 224


def maps(crops: list[np.ndarray]) -> np.ndarray:
    images = torch.from_numpy(np.stack(crops)[..., ::-1].copy()).permute(0, 3, 1, 2)
    return FineGrainedSaliency()(images).reshape(len(crops), -1).numpy()


def test_the_peak_in_a_packed_photograph_is_among_the_most_salient_points_of_the_whole_one(smix_data):
    folder = smix_data / "imagenet-samples"
    encode = partial(_encode, folder, dict(short_side=256, quality=95))
    loading = LoadRandomResizedCrop(SIDE)
    whole, packed = [], []
    with preserved_random_state(0):
        for path in sorted(folder.iterdir()):
            original = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR)
            small = cv2.imdecode(np.frombuffer(encode(path.name), np.uint8), cv2.IMREAD_COLOR)
            for _ in range(10):
                box = np.array(loading.draw(original.shape[:2]))
                scale = np.tile(np.array(small.shape[:2]) / original.shape[:2], 2)
                whole.append(loading.resize(original, box, 1))
                packed.append(loading.resize(small, np.maximum(np.rint(box * scale), [0, 0, 1, 1]).astype(int), 1))
    expected, got = maps(whole), maps(packed)
    peaks = got.argmax(1)
    place, found = (np.stack(np.unravel_index(each, (SIDE, SIDE)), 1) for each in (expected.argmax(1), peaks))
    rank = (expected > np.take_along_axis(expected, peaks[:, None], 1)).mean(1)
    difference = np.mean([np.abs(a.astype(float) - b).mean() for a, b in zip(whole, packed)])
    shares = (np.abs(place - found).max(1) <= 8).mean(), (rank < 0.01).mean()
    print(f"{len(whole)} crops: within 8 px {shares[0]:.3f}, top 1 % {shares[1]:.3f}, levels {difference:.2f}")
    assert shares[0] > 0.8 and shares[1] > 0.98 and difference < 6
