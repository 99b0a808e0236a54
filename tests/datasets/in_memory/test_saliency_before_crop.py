"""Maps of images before the crop: those of a naive computation, each computed once, with the draws of any other arm."""

from __future__ import annotations

import copy
import itertools
import json
from pathlib import Path

import numpy as np
import pytest
import torch

pytest.importorskip("mmpretrain")

from mmpretrain.registry import MODELS

import smix_mm  # noqa: F401  (registers)
from smix_mm.datasets.in_memory.preprocessor import InMemoryClsDataPreprocessor
from smix_mm.mixing.plan import draw_mix, mix_numbers, own_generator
from smix_mm.saliency import FineGrainedSaliency, build_detector

ROOT = Path(__file__).parents[3]
SIDE, PADDING = 32, 4
PIXELS = dict(mean=[125.3, 123.0, 113.9], std=[63.0, 62.1, 66.7])
DETECTORS = ["FineGrainedSaliency", "SpectralResidualSaliency", "FrequencyTunedSaliency", "OpenCVSaliency"]


@pytest.fixture(scope="module")
def images(few_cifar10) -> torch.Tensor:
    from smix_mm.datasets.in_memory.dataset import InMemoryDataset

    real = InMemoryDataset(few_cifar10, "train", device="cpu").images[::5].clone()
    real[3] = 90  # flat: no peak
    return real


def build(kind: str = "InMemoryClsDataPreprocessor", before: bool = True, mixing: str = "SaliencyMix", **options):
    saliency = dict(type=options.pop("detector", "FineGrainedSaliency"))
    augment = dict(type=mixing, saliency=saliency, **PIXELS, **options)
    return MODELS.build(
        dict(
            type=f"mmpretrain.{kind}",
            num_classes=10,
            padding=PADDING,
            batch_augments=dict(augments=augment, probs=1.0),
            saliency_before_crop=before,
            **PIXELS,
        )
    )


def batch_of(images: torch.Tensor, places=None) -> dict:
    places = torch.arange(len(images)) if places is None else torch.as_tensor(places)
    return dict(inputs=images[places], data_samples=places % 10, places=places)


def naive_point(image, crop, detector, salient: bool, ties: str, pick: float, centre, mode: str):
    """Map of the whole image; padded, cropped, flipped; the extreme among the image's pixels."""
    whole = detector(image[None])[0].numpy()
    how = dict(mode="reflect") if mode == "reflect" else dict(constant_values=np.nan)
    top, left, flip = crop.tolist()
    seen = np.pad(whole, PADDING, **how)[top : top + SIDE, left : left + SIDE]
    seen = seen[:, ::-1] if flip else seen
    if np.nanmax(seen) == np.nanmin(seen):
        return centre.tolist()
    places = np.argwhere(seen == (np.nanmax(seen) if salient else np.nanmin(seen)))
    return places[int(pick * len(places)) if ties == "random" else 0].tolist()


@pytest.mark.parametrize(
    "options",
    [
        *(dict(detector=detector) for detector in DETECTORS),
        dict(ties="random"),
        dict(source="non_salient", ties="random"),
        dict(source="non_salient"),
        dict(source="random", target="salient"),
        dict(source="salient", target="non_salient", ties="random", border="clip"),
        dict(box_per="batch", lam_per="batch", border="clip"),
        dict(kind="ReflectClsDataPreprocessor"),
        dict(mixing="ShuffledSaliencyMix"),
    ],
    ids=lambda options: "-".join(options.values()),
)
def test_patches_and_labels_are_those_of_a_naive_computation(images, options, monkeypatch):
    torch.manual_seed(7)
    preprocessor = build(**options)
    done = preprocessor(batch_of(images), training=True)
    # The same draws, made here.
    torch.manual_seed(7)
    crops = build(**options).draw_crops(len(images))
    augment = preprocessor.batch_augments.augments[0]
    draw = draw_mix(len(images), 1.0, own_generator())
    numbers = mix_numbers(draw, SIDE, SIDE, augment.options)
    detector = build_detector(dict(type=options.get("detector", "FineGrainedSaliency")))
    mode = "reflect" if options.get("kind") else "zeros"
    inputs = preprocessor.augment(images, None, crops)[0]

    def point(index: int, where: str, pair: int, end: int) -> list[int]:
        pick, centre = float(numbers.pick[pair, end]), numbers.centre[pair, end]
        if where == "random":
            return centre.tolist()
        index = (index - 1) % len(images) if options.get("mixing") else index
        arguments = (where == "salient", augment.options.ties, pick, centre, mode)
        return naive_point(images[index], crops[index], detector, *arguments)

    expected, scores = inputs.clone(), torch.eye(10)[torch.arange(len(images)) % 10]
    mixed_scores = scores.clone()
    for index, partner in enumerate(draw.partner.tolist()):
        pair = 0 if options.get("box_per") else index
        first = int(draw.partner[0]) if options.get("box_per") else partner
        height, width = numbers.size[pair].tolist()
        source = point(first, augment.options.source, pair, 0)
        target = source
        if augment.options.target != "corresponding":
            target = point(pair, augment.options.target, pair, 1)
        (y1, x1), (y2, x2), (h, w) = place(source, target, height, width, augment.options.border)
        if partner == index:
            continue
        expected[index, :, y2 : y2 + h, x2 : x2 + w] = inputs[partner, :, y1 : y1 + h, x1 : x1 + w]
        share = h * w / SIDE**2
        mixed_scores[index] = (1 - share) * scores[index] + share * scores[partner]
    assert torch.equal(done["inputs"], expected)
    torch.testing.assert_close(done["data_samples"].targets, mixed_scores)


def place(source, target, height: int, width: int, border: str):
    """Corners of both boxes and their sides, from the package's own rule for boxes, tested elsewhere."""
    from smix_mm.mixing.patch import place_patches

    size = torch.tensor([[height, width]])
    boxes = place_patches(torch.tensor([source]), torch.tensor([target]), size, SIDE, SIDE, border)
    (y1, x1, y2, x2), (v1, u1, _, _) = (box[0].tolist() for box in boxes)
    return (y1, x1), (v1, u1), (y2 - y1, x2 - x1)


def test_two_arms_differ_in_the_place_of_the_patches_alone(images):
    """Same crops, partners, areas and labels; the generators end in the same state."""
    found = []
    for before in (False, True):
        torch.manual_seed(3)
        np.random.seed(3)
        preprocessor = build(before=before)
        outputs = [preprocessor(batch_of(images), training=True) for _ in range(3)]
        augment = preprocessor.batch_augments.augments[0]
        states = (preprocessor.generator.get_state(), augment.generator.get_state(), torch.get_rng_state())
        found.append((outputs, states, np.random.rand()))
    (crop, states, number), (before, others, other) = found
    assert all(map(torch.equal, states, others)) and number == other
    for one, two in zip(crop, before):
        assert torch.equal(one["data_samples"].targets, two["data_samples"].targets)
        assert not torch.equal(one["inputs"], two["inputs"])


def test_each_map_is_computed_once_and_in_any_order(images, monkeypatch):
    computed = []
    whole = FineGrainedSaliency.saliency
    monkeypatch.setattr(
        FineGrainedSaliency, "saliency", lambda self, seen: computed.append(len(seen)) or whole(self, seen)
    )
    preprocessor = build()
    cache = next(iter(preprocessor.caches.values()))
    for places in ([5, 2], [40, 2, 7], [7, 7, 40], range(len(images))):
        maps = cache(images[list(places)], torch.tensor(places))
        assert torch.equal(maps, whole(FineGrainedSaliency(), images[list(places)]))
    assert computed == [1] * len(images)
    preprocessor(batch_of(images), training=True)
    assert len(computed) == len(images)
    assert not any("map" in name for name in preprocessor.state_dict())


def test_evaluation_and_other_augmentations_are_as_without_the_option(images):
    preprocessor = build()
    assert torch.equal(preprocessor(batch_of(images))["inputs"], build(before=False)(batch_of(images))["inputs"])
    assert not next(iter(preprocessor.caches.values())).known.any()


def test_batches_without_places_and_mixings_without_maps_are_errors(images):
    batch = batch_of(images)
    batch.pop("places")
    with pytest.raises(TypeError, match="should have places for saliency_before_crop, got none; use InMemoryDataset"):
        build()(batch, training=True)
    for augments in (None, dict(augments=dict(type="CutMix", alpha=1.0))):
        with pytest.raises(ValueError, match="SaliencyMix or ShuffledSaliencyMix with saliency_before_crop=True"):
            InMemoryClsDataPreprocessor(
                num_classes=10, batch_augments=copy.deepcopy(augments), saliency_before_crop=True, **PIXELS
            )
    with pytest.raises(ValueError, match="got none that reads a saliency map"):
        build(source="random")


QUICK = {
    "model.backbone.type": "ResNet",
    "model.backbone.stem_channels": 8,
    "model.backbone.base_channels": 8,
    "model.head.in_channels": 64,
    "train_dataloader.batch_size": 80,
    "train_cfg.max_epochs": 2,
    "default_hooks.logger.interval": 1,
}


def test_a_resumed_run_has_the_losses_of_the_undisturbed_one(few_cifar10, tmp_path, monkeypatch):
    from smix_mm.engine.train import train

    monkeypatch.setenv("SMIX_CIFAR10", str(few_cifar10))
    config = str(ROOT / "configs/cifar10/fast/resnet18_saliencymix-before-crop_cifar10.py")
    losses = {}
    for name, resume in (("whole", None), ("resumed", str(tmp_path / "whole/epoch_1.pth"))):
        options = dict(work_dir=tmp_path / name, resume=resume, no_validate=True)
        torch.manual_seed(99)
        train(config, cfg_options={**QUICK, "experiment_name": f"before crop {name}"}, **options)
        lines = (path.read_text().splitlines() for path in (tmp_path / name).rglob("scalars.json"))
        losses[name] = [json.loads(line)["loss"] for line in itertools.chain.from_iterable(lines)]
    assert len(losses["whole"]) == 6 and losses["resumed"] == losses["whole"][3:]


def test_tools_show_the_maps_that_training_takes(images):
    from smix_mm.datasets.training_batches import preprocess, unnormalizer
    from smix_mm.visualization.browse import scheme_examples
    from smix_mm.visualization.mixes import mix_batch

    torch.manual_seed(7)
    done = build()(batch_of(images), training=True)
    torch.manual_seed(7)
    preprocessor = build()
    batch = preprocess(batch_of(images), preprocessor, None)
    augment = preprocessor.batch_augments.augments[0]
    draw = draw_mix(len(images), 1.0, own_generator())
    mix = mix_batch(augment, batch.inputs, unnormalizer(preprocessor, None), draw, 0, batch.maps[augment])
    assert torch.equal(mix.mixed, augment.uint8_images(done["inputs"]))
    assert torch.equal(mix.maps, batch.maps[augment][mix.partner].clamp(min=0))
    example = next(scheme_examples(augment, batch, torch.Generator().manual_seed(0)))
    assert any(np.array_equal(example.panels[1].image, one) for one in batch.maps[augment].clamp(min=0).numpy())
