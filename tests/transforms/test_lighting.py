"""PCA lighting: the recipe's colour, in the channels' order, clipped and never wrapped around."""

import numpy as np
import pytest
from mmpretrain.registry import TRANSFORMS

import smix_mm  # noqa: F401  (registers)
from smix_mm.transforms import EIGENVALUES, EIGENVECTORS, PCALighting


def image(height: int = 20, width: int = 30) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


def drawn(seed: int, alphastd: float = 0.1) -> np.ndarray:
    np.random.seed(seed)
    return np.random.normal(0, alphastd, 3)


def lit(given: np.ndarray, seed: int, **options) -> np.ndarray:
    np.random.seed(seed)
    return TRANSFORMS.build(dict(type="PCALighting", **options))(dict(img=given))["img"]


@pytest.mark.parametrize("seed", range(5))
def test_the_colour_of_the_recipe_is_added_rounded_and_clipped(seed):
    given, alpha = image(), drawn(seed, 0.5)
    for x, y in ((0, 0), (3, 7), (19, 29)):
        for channel, component in enumerate(EIGENVECTORS):
            colour = 255 * sum(component[i] * alpha[i] * EIGENVALUES[i] for i in range(3))
            expected = min(max(round(float(given[x, y, channel]) + colour), 0), 255)
            assert lit(given, seed, alphastd=0.5, channel_order="rgb")[x, y, channel] == expected


def test_a_bgr_image_gets_the_same_light_as_the_rgb_one():
    given = image()
    assert np.array_equal(lit(given, 3)[..., ::-1], lit(given[..., ::-1], 3, channel_order="rgb"))
    assert not np.array_equal(lit(given, 3), lit(given, 3, channel_order="rgb"))


def test_white_stays_white_and_black_black_where_mmpretrains_own_wraps_around():
    white, black = np.full((4, 4, 3), 255, np.uint8), np.zeros((4, 4, 3), np.uint8)
    brighter = next(seed for seed in range(50) if lit(np.full((1, 1, 3), 100, np.uint8), seed).min() > 103)
    darker = next(seed for seed in range(50) if lit(np.full((1, 1, 3), 100, np.uint8), seed).max() < 97)
    assert (lit(white, brighter) == 255).all() and (lit(black, darker) == 0).all()
    settings = dict(eigval=(255 * EIGENVALUES).tolist(), eigvec=EIGENVECTORS.tolist(), alphastd=0.1, to_rgb=False)
    stock = TRANSFORMS.build(dict(type="Lighting", **settings))
    np.random.seed(brighter)
    with np.errstate(invalid="ignore"):
        assert stock(dict(img=white.copy()))["img"].max() < 30


def test_alphastd_0_changes_nothing_and_the_input_is_not_changed():
    given = image()
    copy = given.copy()
    assert np.array_equal(lit(given, 0, alphastd=0.0), given)
    lit(given, 1)
    assert np.array_equal(given, copy)


def test_an_image_of_negative_strides_as_colour_jitter_leaves_it_is_taken():
    given = image()[..., ::-1]
    assert np.array_equal(lit(given, 2), lit(np.ascontiguousarray(given), 2))


@pytest.mark.parametrize("given", [image().astype(np.float32), image()[..., 0], image()[..., :2], "an image"])
def test_anything_but_a_uint8_image_is_refused(given):
    with pytest.raises(TypeError, match=r"img should be a uint8 array \(H, W, 3\), got "):
        PCALighting().transform(dict(img=given))


@pytest.mark.parametrize(
    "options, message",
    [
        (dict(alphastd=-1), "alphastd should be a number of at least 0, got -1"),
        (dict(alphastd=float("nan")), "alphastd should be .* got nan"),
        (dict(channel_order="hsv"), "channel_order should be one of 'bgr', 'rgb', got 'hsv'"),
    ],
)
def test_a_wrong_option_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        PCALighting(**options)
