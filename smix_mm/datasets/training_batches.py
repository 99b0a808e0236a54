"""Batches and images from the pipeline of a classification config."""

from __future__ import annotations

import copy
import itertools
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Iterator, Mapping, Sequence

import torch
from torch import Tensor

if TYPE_CHECKING:
    from mmengine.config import Config


@dataclass(frozen=True)
class TrainingBatch:
    """A batch before any mixing.

    Attributes:
        inputs: normalised floats (N, 3, H, W), the input of a batch augmentation.
        labels: the class name of each image.
        maps: float32 (N, H, W) by batch augmentation, if it is given the maps of the images before the crop.
    """

    inputs: Tensor
    labels: list[str]
    maps: Mapping[Any, Tensor] = field(default_factory=dict)


def read_classification_config(path: str | Path, cfg_options: Mapping[str, Any] | None = None) -> Config:
    """Read a config of mmpretrain with settings that override it, and make mmpretrain the default scope.

    Its training images are loaded strictly, see :func:`~smix_mm.datasets.check.strict.make_strict`.

    Raises:
        UsageError: the file does not exist, or cannot be read.
        DataError: the split file cannot be used.
        ValueError: it is not a classification config.
    """
    from mmengine.registry import init_default_scope

    from ..utils.config import read_config
    from .check.strict import make_strict

    cfg = read_config(path, cfg_options)
    scope = cfg.get("default_scope", "mmpretrain")
    if scope != "mmpretrain" or cfg.get("train_dataloader") is None:
        lacks = "no train_dataloader" if scope == "mmpretrain" else f"default_scope={scope!r}"
        raise ValueError(f"config {path} has {lacks}; expected mmpretrain's scope and a train_dataloader")
    init_default_scope("mmpretrain")
    make_strict(cfg, ("train",))
    return cfg


def preprocessor_settings(cfg: Config) -> dict[str, Any]:
    """The settings of a config's data preprocessor, that of the model first, with the model's batch augmentations."""
    model = cfg.get("model") or {}
    settings = copy.deepcopy(dict(model.get("data_preprocessor") or cfg.get("data_preprocessor") or {}))
    settings.setdefault("type", "ClsDataPreprocessor")
    train_cfg = model.get("train_cfg") or {}
    if "augments" in train_cfg:
        settings.setdefault("batch_augments", copy.deepcopy(dict(train_cfg)))
    return settings


def build_preprocessor(cfg: Config) -> Any:
    """Build the config's data preprocessor with its batch augmentations, as the Runner does.

    Raises:
        ValueError: it is not a ``ClsDataPreprocessor``.
    """
    from mmpretrain.models import ClsDataPreprocessor
    from mmpretrain.registry import MODELS

    settings = preprocessor_settings(cfg)
    if settings.get("batch_augments"):
        settings["to_onehot"] = True  # otherwise mmpretrain sets it and warns
    kind = settings["type"] if isinstance(settings["type"], type) else MODELS.get(settings["type"])
    if kind is None or not issubclass(kind, ClsDataPreprocessor):
        raise ValueError(
            "the config's data_preprocessor should be a ClsDataPreprocessor, as in a classification config, "
            f"got {settings['type']}"
        )
    from ..utils.packages import reason_of

    try:
        return MODELS.build(settings)
    except (TypeError, AssertionError, KeyError) as error:
        raise ValueError(f"the config's data_preprocessor cannot be built: {reason_of(error)}") from error


def training_batches(cfg: Config, preprocessor: Any, seed: int) -> Iterator[TrainingBatch]:
    """Batches of the config's training, epoch after epoch, without the preprocessor's batch augmentations.

    ``seed`` is that of the sampler; the pipeline draws from the global generators.

    Raises:
        ValueError: the data cannot be read, or are not images with labels.
    """
    from mmengine.runner import Runner

    settings = dict(cfg.train_dataloader)
    settings.setdefault("collate_fn", dict(type="default_collate"))
    # In this process, so that the seeds reach the pipeline.
    settings.update(num_workers=0, persistent_workers=False, pin_memory=False)
    settings.pop("prefetch_factor", None)
    try:
        loader = Runner.build_dataloader(settings, seed=seed)
    except (OSError, RuntimeError, AssertionError) as error:
        raise ValueError(f"the config's training data cannot be read: {error}; set its data_root") from error
    if len(loader) == 0:
        raise ValueError(f"the config's {len(loader.dataset)} training images should make at least one batch")
    epochs = itertools.chain.from_iterable(itertools.repeat(loader))
    return (preprocess(data, preprocessor, class_names(loader.dataset)) for data in epochs)


def class_names(dataset: Any) -> Sequence[str] | None:
    """A dataset's class names by number, or None if it has none."""
    return (getattr(dataset, "metainfo", None) or {}).get("classes")


def preprocess(data: Mapping[str, Any], preprocessor: Any, classes: Sequence[str] | None) -> TrainingBatch:
    """Apply a ClsDataPreprocessor to a batch of a data loader as in training, without the batch augmentations.

    Neither the batch, nor the preprocessor, nor its generator is changed. ``classes`` are names by number, or None.

    Raises:
        ValueError: the batch does not consist of images of one size with labels.
    """
    own = copy.copy(preprocessor)
    own.batch_augments = None
    if getattr(own, "generator", None) is not None:
        own.generator = torch.Generator().set_state(own.generator.get_state())
    samples = data.get("data_samples")
    if isinstance(samples, (list, tuple)):
        # The preprocessor changes its samples in place.
        samples = [sample.clone() for sample in samples]
    done = own(dict(data, data_samples=samples), training=True)
    inputs, samples = done["inputs"], done["data_samples"] or ()
    if not isinstance(inputs, Tensor) or inputs.dim() != 4 or inputs.shape[1] != 3 or len(samples) != len(inputs):
        given = tuple(inputs.shape) if isinstance(inputs, Tensor) else type(inputs).__name__
        raise ValueError(f"a batch should be (N, 3, H, W) with a label per image, got {given}, {len(samples)} labels")
    maps = {one: own.crop_maps(own.maps(one, data), own.last_crops) for one in getattr(own, "caches", ())}
    return TrainingBatch(inputs, [_label(sample, classes) for sample in samples], maps)


def _label(sample: Any, classes: Sequence[str] | None) -> str:
    if "gt_label" not in sample:
        return "no label"
    numbers = sample.gt_label.tolist()
    return " and ".join(str(classes[number]) if classes else f"class {number}" for number in numbers)


def unnormalizer(preprocessor: Any, dataloader: Mapping[str, Any] | None) -> Any:
    """A SaliencyMix with default options whose ``uint8_images`` undoes the preprocessor's normalisation.

    ``dataloader`` has the settings of the dataloader of the batches; without them, the batches are taken for RGB.
    """
    from ..batch_augments import SaliencyMix
    from ..utils.channels import batch_order

    mean, std = (0, 0, 0), (1, 1, 1)
    if hasattr(preprocessor, "mean"):
        mean, std = preprocessor.mean.flatten().tolist(), preprocessor.std.flatten().tolist()
    return SaliencyMix(mean=mean, std=std, channel_order=batch_order(dataloader, preprocessor.to_rgb) or "rgb")
