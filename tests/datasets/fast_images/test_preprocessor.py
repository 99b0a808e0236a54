"""Augmentation by batch: mmpretrain's own pixels for the same draws, from the same distributions."""

import cv2
import mmcv
import numpy as np
import pytest
import torch
from mmpretrain.datasets.transforms import ColorJitter, RandomFlip
from mmpretrain.models import ClsDataPreprocessor

from smix_mm.datasets.fast_images.loading import LoadRandomResizedCrop, PackTensors, channels_last_batch
from smix_mm.datasets.fast_images.preprocessor import AugmentingClsDataPreprocessor
from smix_mm.models.label_batch import LabelBatch
from smix_mm.transforms import PCALighting
from smix_mm.utils.random_state import get_random_state, set_random_state

MEAN, STD = [123.675, 116.28, 103.53], [58.395, 57.12, 57.375]
AUGMENT = dict(flip_prob=0.5, brightness=0.4, contrast=0.4, saturation=0.4, alphastd=0.1)
SETTINGS = dict(AUGMENT, mean=MEAN, std=STD, num_classes=10, to_rgb=True)
MIX = dict(augments=dict(type="SaliencyMix", mean=MEAN, std=STD), probs=1.0)

pytestmark = pytest.mark.filterwarnings("ignore:Only use 'alpha'")


def photographs(number: int, height: int = 24, width: int = 31) -> np.ndarray:
    """uint8 BGR (N, H, W, 3), smooth and coloured, with black and white parts."""
    random = np.random.default_rng(0)
    coarse = random.integers(-60, 316, (number, 5, 6, 3)).clip(0, 255).astype(np.uint8)
    return np.stack([cv2.resize(image, (width, height), interpolation=cv2.INTER_CUBIC) for image in coarse])


def tensors(images: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(images).permute(0, 3, 1, 2)


def by_image(image: np.ndarray, draws: list[float]) -> np.ndarray:
    """The same augmentation of a BGR image by mmcv and Pillow."""
    change = [mmcv.adjust_brightness, mmcv.adjust_contrast, mmcv.adjust_color]
    image = mmcv.imflip(image) if draws[0] else image
    for kind, factor in zip(draws[1:4], draws[4:7]):
        image = change[int(kind)](np.ascontiguousarray(image), factor, backend="pillow")
    lit = image.astype(np.float32) + np.array(draws[7:], np.float32)
    return np.clip(np.rint(lit), 0, 255)


@pytest.mark.parametrize("to_rgb", [True, False])
def test_for_the_same_draws_pixels_are_bit_identical_to_those_of_the_transforms(to_rgb):
    images = photographs(64)
    torch.manual_seed(1)
    preprocessor = AugmentingClsDataPreprocessor(**{**SETTINGS, "to_rgb": to_rgb})
    draws = preprocessor.draw(64)
    found = preprocessor.augment(tensors(images if to_rgb else images[..., ::-1].copy()), draws)
    for image, each, result in zip(images, draws.tolist(), found.permute(0, 2, 3, 1).numpy()):
        if not to_rgb:
            each[7:], result = each[:6:-1], result[..., ::-1]
        assert np.array_equal(by_image(image, each), result)


def test_extreme_factors_are_clipped_as_pillow_does():
    preprocessor = AugmentingClsDataPreprocessor(**{**SETTINGS, "brightness": 3.0, "contrast": 3.0, "saturation": 5.0})
    images, draws = photographs(40), preprocessor.draw(40)
    assert draws[:, 4:7].min() < 0.5 and draws[:, 4:7].max() > 4
    found = preprocessor.augment(tensors(images), draws).permute(0, 2, 3, 1).numpy()
    assert all(np.array_equal(by_image(*each), result) for *each, result in zip(images, draws.tolist(), found))


def test_draws_have_the_distributions_of_the_transforms():
    torch.manual_seed(0)
    preprocessor = AugmentingClsDataPreprocessor(**SETTINGS)
    draws = preprocessor.draw(20000).double()
    assert abs(draws[:, 0].mean() - 0.5) < 0.015
    orders, counts = np.unique(draws[:, 1:4].numpy(), axis=0, return_counts=True)
    assert len(orders) == 6 and abs(counts / 20000 - 1 / 6).max() < 0.012
    factors = draws[:, 4:7]
    assert factors.min() >= 0.6 - 1e-6 and factors.max() <= 1.4 + 1e-6
    ranks = np.sort(factors.flatten().numpy())
    assert np.abs(ranks - np.linspace(0.6, 1.4, len(ranks))).max() < 0.01
    np.random.seed(0)
    lighting = PCALighting(0.1)
    grey = np.full((1, 1, 3), 128, np.uint8)
    expected = np.array([lighting.transform(dict(img=grey))["img"][0, 0] - 128.0 for _ in range(20000)])
    assert np.abs(np.cov(draws[:, 7:].T) - np.cov(expected.T)).max() < 0.04 * np.cov(expected.T).max()


def test_batches_have_the_statistics_of_the_transforms():
    images = np.repeat(photographs(8), 150, 0)
    torch.manual_seed(0)
    np.random.seed(0)
    preprocessor = AugmentingClsDataPreprocessor(**SETTINGS)
    ours = preprocessor.augment(tensors(images), preprocessor.draw(len(images))).permute(0, 2, 3, 1).double().numpy()
    steps = [RandomFlip(0.5), ColorJitter(0.4, 0.4, 0.4), PCALighting(0.1)]
    theirs = []
    for image in images:
        results = dict(img=image)
        for step in steps:
            results = step(results)
        theirs.append(results["img"])
    theirs = np.stack(theirs).astype(float)

    def statistics(batch):
        left = batch[:, :, :15].mean((1, 2)) - batch[:, :, 16:].mean((1, 2))
        means, spreads = batch.mean((1, 2)), batch.std((1, 2))
        values = np.concatenate([means, spreads, left, means[:, :1] - means[:, 1:]], 1).reshape(8, 150, -1)
        return values.mean(1), values.std(1)

    (means, spreads), (expected, expected_spreads) = statistics(ours), statistics(theirs)
    # Differences of means of 150 draws, in standard errors.
    assert (np.abs(means - expected) / (expected_spreads * np.sqrt(2 / 150))).max() < 4
    assert (spreads / expected_spreads).min() > 0.75 and (spreads / expected_spreads).max() < 1.33


def batch(number: int = 6) -> dict:
    return dict(inputs=tensors(photographs(number)), data_samples=torch.arange(number))


def test_restored_random_state_gives_the_same_batches_again():
    torch.manual_seed(5)
    preprocessor = AugmentingClsDataPreprocessor(**SETTINGS, batch_augments=MIX)
    preprocessor(batch(), training=True)
    state = get_random_state(preprocessor)
    expected = [preprocessor(batch(), training=True)["inputs"] for _ in range(2)]
    assert not torch.equal(*expected)
    torch.manual_seed(6)
    resumed = AugmentingClsDataPreprocessor(**SETTINGS, batch_augments=MIX)
    set_random_state(resumed, state)
    assert all(torch.equal(resumed(batch(), training=True)["inputs"], each) for each in expected)


def test_mixing_works_on_the_augmented_uint8_images():
    torch.manual_seed(0)
    mixing = AugmentingClsDataPreprocessor(**SETTINGS, batch_augments=MIX)
    mixer, given = mixing.batch_augments.augments[0], {}
    mixing.batch_augments.augments[0] = lambda inputs, scores: given.update(inputs=inputs) or mixer(inputs, scores)
    out = mixing(batch(), training=True)
    torch.manual_seed(0)
    plain = AugmentingClsDataPreprocessor(**SETTINGS)
    augmented = plain.augment(batch()["inputs"], plain.draw(6))
    assert torch.equal(mixer.uint8_images(given["inputs"]), augmented.flip(1).to(torch.uint8))
    assert isinstance(out["data_samples"], LabelBatch) and out["data_samples"].labels.tolist() == list(range(6))
    assert not torch.equal(out["inputs"], given["inputs"])
    torch.testing.assert_close(out["data_samples"].scores.sum(1), torch.ones(6))


def test_outside_of_training_images_are_only_normalised():
    settings = dict(mean=MEAN, std=STD, num_classes=10, to_rgb=True)
    expected = ClsDataPreprocessor(**settings)(dict(inputs=batch()["inputs"]))["inputs"]
    out = AugmentingClsDataPreprocessor(**settings, **AUGMENT)(batch())
    assert torch.equal(out["inputs"], expected) and out["data_samples"].labels.tolist() == list(range(6))
    assert torch.equal(AugmentingClsDataPreprocessor(**settings)(batch(), training=True)["inputs"], expected)


def test_encoded_images_are_decoded_cropped_and_augmented(smix_data):
    paths = sorted((smix_data / "imagenet-samples").glob("*.JPEG"))[:4]
    inputs = []
    for decode in (True, False):
        np.random.seed(0)
        load = LoadRandomResizedCrop(224, decode=decode)
        samples = [load.transform(dict(img_path=str(path), gt_label=1)) for path in paths]
        made = channels_last_batch([PackTensors().transform(sample) for sample in samples])
        preprocessor = AugmentingClsDataPreprocessor(**dict(SETTINGS, brightness=0, contrast=0, saturation=0))
        torch.manual_seed(2)
        inputs.append(preprocessor(made, training=True)["inputs"])
    # Two implementations of bilinear interpolation round differently.
    assert ((inputs[0] - inputs[1]) * torch.tensor(STD).view(3, 1, 1)).abs().max() < 1.5


@pytest.mark.parametrize(
    "options, message",
    [
        (dict(flip_prob=1.5), "flip_prob should be between 0 and 1, got 1.5"),
        (dict(contrast=-0.1), "contrast should be a number of at least 0, got -0.1"),
        (dict(alphastd=float("nan")), "alphastd should be a number of at least 0, got nan"),
    ],
)
def test_a_wrong_option_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        AugmentingClsDataPreprocessor(**options)


def test_inputs_that_are_no_uint8_batch_are_refused():
    for inputs in (batch()["inputs"].float(), batch()["inputs"][:, :2], list(batch()["inputs"])):
        with pytest.raises(TypeError, match="inputs should be a uint8 tensor .*end the pipeline with PackTensors"):
            AugmentingClsDataPreprocessor(**SETTINGS)(dict(inputs=inputs), training=True)
