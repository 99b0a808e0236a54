"""Predictions on a folder of images, by OpenMMLab's own inferencers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.dataset import Compose

from ..datasets.check.images import check_image, has_image_suffix
from ..datasets.check.splits import type_name
from ..utils.channels import loaded_order
from ..utils.choices import check_option
from ..utils.errors import DataError, UsageError
from ..utils.files import write_json
from ..utils.text import first_few
from .launch import check_parameters, load_config
from .safe_loading import load_safely


def predict(
    config: str | Path,
    checkpoint: str | Path,
    images: str | Path,
    out: str | Path,
    *,
    device: str | None = None,
    score: float = 0.3,
    batch_size: int = 1,
    cfg_options: dict[str, Any] | None = None,
) -> int:
    """Run a classifier or a detector on images, and draw and write what it finds.

    Args:
        config: The model's config, see :func:`~smix_mm.utils.config.find_config`.
        checkpoint: Weights of a training with it.
        images: An image, or a folder of images, without its subfolders.
        out: Folder to write: ``vis/`` with the images drawn, ``preds/`` with a JSON file for each image of a
            detector, ``predictions.json`` for a classifier.
        device: Such as ``'cuda:0'``. Defaults to a GPU if there is one, else the CPU.
        score: Boxes with a lower score, from 0 to 1, are not drawn; the JSON files have them all. Defaults to 0.3.
        batch_size: Images that are run together. Defaults to 1.
        cfg_options: Settings that override the config's, by dotted name.

    Returns:
        The number of images.

    Raises:
        UsageError: The config or the checkpoint does not exist, ``out`` is not empty, the config is neither
            mmpretrain's nor MMDetection's, or an option has a value that cannot be used.
        CheckpointError: The checkpoint does not hold every parameter of the model.
        DataError: There is no image, some cannot be read, or two have one name without their suffixes.
    """
    cfg, paths, out = load_config(config, None, cfg_options, "none"), _images(Path(images)), Path(out)
    if not Path(checkpoint).is_file():
        raise UsageError(f"checkpoint {checkpoint} does not exist; give a checkpoint of a training.")
    if out.exists() and any(out.iterdir()):
        raise UsageError(f"{out} is not empty; give a new folder.")
    check_option(f"default_scope of {config}", cfg.get("default_scope"), ("mmdet", "mmpretrain"))
    if batch_size < 1 or not 0 <= score <= 1:
        raise UsageError(f"batch_size should be at least 1 and score from 0 to 1, got {batch_size} and {score}.")
    if device is not None:
        try:
            torch.empty(0, device=device)
        except (RuntimeError, AssertionError) as error:
            reason = str(error).splitlines()[0]
            raise UsageError(f"device should be such as 'cpu' or 'cuda:0', got {device!r}: {reason}") from None
    load_safely()
    files, options = [str(path) for path in paths], dict(device=device, batch_size=batch_size)
    if cfg.default_scope == "mmdet":
        _detect(cfg, str(checkpoint), files, out, options, score)
    else:
        _classify(cfg, str(checkpoint), files, out, options)
    return len(paths)


def _images(path: Path) -> list[Path]:
    paths = [path]
    if path.is_dir():
        paths = sorted(each for each in path.iterdir() if has_image_suffix(each.name, readable=True))
    elif not path.exists():
        raise UsageError(f"{path} does not exist; give an image or a folder of images.")
    if not paths:
        raise DataError(f"{path} has no image; expected files that end in .jpg, .png or as others that OpenCV reads.")
    stems = [each.stem for each in paths]
    if equal := [each.name for each in paths if stems.count(each.stem) > 1]:
        problem = f"different names without their suffixes, which name the results, got {first_few(equal, 3)}"
        raise DataError(f"images should have {problem}; rename them.")
    checked = {each.name: check_image(str(each), decode=True).problems for each in paths}
    broken = [f"{name} ({found[0].kind}: {found[0].detail})" for name, found in checked.items() if found]
    if broken:
        raise DataError(f"images should be readable, got {first_few(broken, 3)}; repair or move them.")
    return paths


def _detect(cfg: Config, checkpoint: str, paths: list[str], out: Path, options: dict[str, Any], score: float) -> None:
    from mmdet.apis import DetInferencer

    inferencer = DetInferencer(cfg, checkpoint, device=options.pop("device"))
    check_parameters(inferencer.model, checkpoint)
    inferencer(paths, out_dir=str(out), pred_score_thr=score, no_save_pred=False, **options)


def _reverse_channels(results: dict[str, Any]) -> dict[str, Any]:
    return {**results, "img": results["img"][..., ::-1].copy()}


def _classify(cfg: Config, checkpoint: str, paths: list[str], out: Path, options: dict[str, Any]) -> None:
    from mmpretrain import ImageClassificationInferencer

    dataset = cfg.test_dataloader.dataset
    if type_name(dataset) == "InMemoryDataset":
        # Its preprocessor takes only its batches; this one normalizes alike.
        dataset.pipeline = [dict(type="PackInputs")]
        given = cfg.model.get("data_preprocessor") or cfg.data_preprocessor
        cfg.model.data_preprocessor = dict(mean=given.mean, std=given.std, type="ClsDataPreprocessor")
    inferencer = ImageClassificationInferencer(cfg, pretrained=checkpoint, device=options.pop("device"))
    check_parameters(inferencer.model, checkpoint)
    if loaded_order(dataset) == "rgb":
        inferencer.pipeline = Compose([_reverse_channels, inferencer.pipeline])  # it reads files as BGR
    (out / "vis").mkdir(parents=True)
    predictions = {}
    for path, one in zip(paths, inferencer(paths, show_dir=str(out / "vis"), **options)):
        predictions[Path(path).name] = {
            "class": one.get("pred_class"),
            "label": int(one["pred_label"]),
            "score": float(one["pred_score"]),
            "scores": [float(each) for each in one["pred_scores"]],
        }
    write_json(out / "predictions.json", predictions)
