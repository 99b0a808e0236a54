"""Peak and least salient point: the place of the extreme, and what happens where it is shared."""

import numpy as np
import pytest
import torch

from smix_mm.saliency import FineGrainedSaliency, FrequencyTunedSaliency, SpectralResidualSaliency

FLAT = ("black", "white", "flat")

DETECTORS = {
    "torch": lambda: FineGrainedSaliency("torch"),
    "numba": lambda: FineGrainedSaliency("numba"),
    "spectral residual": SpectralResidualSaliency,
    "frequency tuned": FrequencyTunedSaliency,
}


@pytest.fixture(params=DETECTORS)
def detector(request):
    if request.param == "numba":
        pytest.importorskip("numba")
    return DETECTORS[request.param]()


def place(saliency_map: torch.Tensor, find=np.argmax) -> list[int]:
    flat = find(saliency_map.numpy())
    return [int(index) for index in np.unravel_index(flat, saliency_map.shape)]


@pytest.mark.parametrize("size", [(3, 3), (32, 32), (57, 133), (224, 224)])
def test_peak_and_least_salient_point_are_the_first_extremes_in_row_order(detector, size, made_up_images):
    images = torch.stack(list(made_up_images(*size).values()))
    maps = detector(images)
    assert detector.peak(images).tolist() == [place(each) for each in maps]
    assert detector.least_salient_point(images).tolist() == [place(each, np.argmin) for each in maps]
    assert detector.peak(images).dtype == torch.int64


def test_only_an_image_without_contrast_has_no_extreme(detector, made_up_images):
    uint8_images = made_up_images(31, 40)
    for pick in (None, torch.rand(len(uint8_images), dtype=torch.float64)):
        for salient in (True, False):
            images = torch.stack(list(uint8_images.values()))
            found = detector.extreme(images, salient=salient, pick=pick)[1]
            constant = [bool((each == each[0, 0]).all()) for each in detector(images)]
            assert found.dtype == torch.bool
            assert found.tolist() == [not flat for flat in constant]
            assert all(flat for name, flat in zip(uint8_images, constant) if name in FLAT)
            assert not constant[0]


@pytest.mark.parametrize("backend", ["torch", "numba"])
def test_random_ties_take_each_equal_extreme_evenly(backend, made_up_images):
    chi2 = pytest.importorskip("scipy.stats").chi2
    uint8_image = made_up_images(16, 16)["half white"]
    detector = FineGrainedSaliency(backend)
    saliency_map = detector(uint8_image[None])[0]
    draws = 2000
    images = uint8_image.expand(draws, *uint8_image.shape)
    for find, extreme in ((detector.peak, saliency_map.max()), (detector.least_salient_point, saliency_map.min())):
        equal = (saliency_map == extreme).nonzero()
        assert len(equal) > 3
        points = find(images, ties="random", generator=torch.Generator().manual_seed(1))
        counts = (points[:, None] == equal).all(2).sum(0).numpy()
        assert counts.sum() == draws
        expected = draws / len(equal)
        assert ((counts - expected) ** 2 / expected).sum() < chi2.ppf(0.999, len(equal) - 1)


def test_both_backends_pick_the_same_of_equal_extremes(made_up_images):
    images = torch.stack(list(made_up_images(40, 30).values()))
    for share in (0.0, 0.25, 0.5, 0.999999, 1 - 2**-53):
        pick = torch.full((len(images),), share, dtype=torch.float64)
        for salient in (True, False):
            ours = FineGrainedSaliency("numba").extreme(images, salient, pick)
            definition = FineGrainedSaliency("torch").extreme(images, salient, pick)
            assert torch.equal(ours[0], definition[0]) and torch.equal(ours[1], definition[1])


def test_random_ties_repeat_with_the_generator_and_leave_the_global_one_alone(detector, made_up_images):
    images = torch.stack(list(made_up_images(20, 20).values()))
    state = torch.get_rng_state()
    points = [
        detector.least_salient_point(images, ties="random", generator=torch.Generator().manual_seed(3)) for _ in "ab"
    ]
    assert torch.equal(points[0], points[1])
    assert torch.equal(torch.get_rng_state(), state)


def test_unknown_ties_are_refused(detector):
    with pytest.raises(ValueError, match="ties should be one of 'first', 'random', got 'last'"):
        detector.peak(torch.zeros(1, 3, 8, 8, dtype=torch.uint8), ties="last")
