"""Class activation maps of several checkpoints on the same images."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from ..datasets.check.splits import type_name
from ..robustness.attacks import PixelClassifier
from ..transfer.checkpoint import read_checkpoint, state_dict_of
from ..utils.channels import loaded_order
from ..utils.config import read_config
from ..utils.errors import UsageError
from ..utils.files import check_output
from ..utils.text import first_few
from .image_files import read_image
from .sheet import Example, Panel, save_sheet

_LOADERS = ("LoadImageFromFile", "StrictLoadImage")


def compare_cam(
    config: str | Path,
    checkpoints: Mapping[str, str | Path],
    images: Sequence[str | Path],
    out: str | Path,
    *,
    label: int | None = None,
    cfg_options: Mapping[str, Any] | None = None,
) -> Path:
    """Draw Grad-CAM (Selvaraju et al. 2017) of the same images for several checkpoints.

    The sheet has a row per image and a column per checkpoint. All maps of a row are of the same class. Each map is
    scaled by its own maximum, so positions can be compared, but strengths cannot.

    Args:
        config: the classifier's config; images pass through its test pipeline. Its dataset may be in memory.
        checkpoints: files by name; the name is the title of the column.
        images: image files.
        out: the PNG to write.
        label: index of the class whose map is drawn. None: for each image the class with the first checkpoint's
            highest score.
        cfg_options: config settings to override, by dotted name.

    Returns:
        ``out``.

    Raises:
        UsageError: no image or checkpoint was given, one does not fit the config, the backbone has no feature map, or
            ``out`` is one of the inputs.
        FileNotFoundError: an image or a checkpoint does not exist.
        CheckpointError: a checkpoint cannot be read.
        DataError: an image cannot be read.
    """
    from mmengine.registry import init_default_scope
    from pytorch_grad_cam.utils.image import show_cam_on_image

    if not checkpoints or not images:
        given = f"{len(checkpoints)} and {len(images)}"
        raise UsageError(f"There should be at least one checkpoint and one image, got {given}.")
    for image in images:
        if not Path(image).is_file():
            raise FileNotFoundError(f"Image {image} does not exist.")
    check_output(out, config, *checkpoints.values(), *images)
    cfg = read_config(config, cfg_options)
    if cfg.get("default_scope", "mmpretrain") != "mmpretrain" or "test_dataloader" not in cfg:
        raise UsageError(f"Config {config} should be of an mmpretrain classifier, with a test_dataloader.")
    init_default_scope("mmpretrain")
    inputs, shown = zip(*(_read(image, cfg.test_dataloader.dataset) for image in images))
    rows = [[Panel("image", image)] for image in shown]
    labels = [] if label is None else [label] * len(inputs)
    for title, checkpoint in checkpoints.items():
        model, classes = _load(cfg, checkpoint)
        classifier = PixelClassifier(model)
        for index, pixels in enumerate(inputs):
            with torch.no_grad():
                scores = classifier(pixels)[0].softmax(0)
            if index == len(labels):
                labels.append(int(scores.argmax()))
            chosen = labels[index]
            if not 0 <= chosen < len(scores):
                raise UsageError(f"label should be from 0 to {len(scores) - 1}, got {chosen}.")
            name = classes[chosen] if classes and chosen < len(classes) else f"class {chosen}"
            cam = class_activation_map(classifier, pixels, chosen)
            overlay = show_cam_on_image(np.float32(shown[index]) / 255, cam, use_rgb=True)
            rows[index].append(Panel(f"{title}\n{name}: {100 * scores[chosen]:.0f} %", overlay))
    save_sheet([Example(Path(image).name, tuple(row), len(row)) for image, row in zip(images, rows)], out)
    return Path(out)


def _read(path: str | Path, dataset: Mapping[str, Any]) -> tuple[Tensor, np.ndarray]:
    """An image after the test pipeline, float (1, 3, H, W) in 0..255, and as uint8 RGB (H, W, 3)."""
    from mmengine.dataset import Compose

    pipeline, order = dataset.get("pipeline") or (), loaded_order(dataset)
    if order == "bgr":
        # The image is a file, also where the config's are records of a database.
        loader = dict(type="StrictLoadImage", backend_args=None, file_client_args=None)
        steps = [{**step, **loader} if type_name(step) in _LOADERS else step for step in pipeline]
        packed = Compose(steps)(dict(img_path=str(path), sample_idx=0))
    else:  # the config's dataset returns RGB images, not files
        image = read_image(path)
        size = image.shape[:2]
        packed = dict(inputs=torch.from_numpy(image).permute(2, 0, 1))
        if pipeline:
            packed = Compose(pipeline)(dict(img=image, img_shape=size, ori_shape=size, sample_idx=0))
    if packed is None:
        raise UsageError(f"Image {path} cannot be read by the config's test pipeline.")
    pixels = packed["inputs"].float()
    rgb = pixels if order == "rgb" else pixels.flip(0)
    return pixels[None], rgb.permute(1, 2, 0).byte().numpy()


def class_activation_map(classifier: nn.Module, pixels: Tensor, label: int) -> np.ndarray:
    """Grad-CAM of a class on the backbone's last feature map, float32 (H, W) in [0, 1].

    Args:
        classifier: a :class:`~smix_mm.robustness.attacks.PixelClassifier`.
        pixels: floats (1, 3, H, W) in 0..255.
        label: index of the class.
    """
    from pytorch_grad_cam import GradCAM
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    with GradCAM(classifier, [last_map(classifier, pixels)]) as cam:
        result: np.ndarray = cam(pixels, [ClassifierOutputTarget(label)])[0]
    return result


def last_map(classifier: nn.Module, pixels: Tensor) -> nn.Module:
    """The last module of the backbone whose output is a feature map (N, C, h, w) larger than 1x1.

    Raises:
        UsageError: there is none, as in a plain vision transformer.
    """
    found: list[nn.Module] = []

    def check(module: nn.Module, args: object, output: object) -> None:
        if isinstance(output, Tensor) and output.dim() == 4 and output.shape[2] * output.shape[3] > 1:
            found.append(module)

    backbone = classifier.model.backbone  # type: ignore[union-attr]
    hooks = [module.register_forward_hook(check) for module in backbone.modules() if module is not backbone]  # type: ignore[union-attr]
    try:
        with torch.no_grad():
            classifier(pixels)
    finally:
        for hook in hooks:
            hook.remove()
    if not found:
        raise UsageError(
            "The backbone should be convolutional, but none of its modules returns a feature map (N, C, h, w)."
        )
    return found[-1]


def _load(cfg: Any, checkpoint: str | Path) -> tuple[nn.Module, Sequence[str] | None]:
    """The model with the checkpoint's weights, and its class names if the checkpoint or the config has them."""
    from mmpretrain.registry import MODELS

    import smix_mm  # noqa: F401  (registers the classes that a config may name)

    preprocessor = cfg.model.get("data_preprocessor") or cfg.get("data_preprocessor") or {}
    model = MODELS.build({**cfg.model, "data_preprocessor": {"type": "ClsDataPreprocessor", **preprocessor}})
    content = read_checkpoint(checkpoint)
    weights = state_dict_of(content)
    own = model.state_dict()
    wrong = sorted(set(own) ^ set(weights)) or [name for name in own if own[name].shape != weights[name].shape]
    if wrong:
        raise UsageError(f"{checkpoint} does not fit the config's model: {first_few(wrong, 3)} differ.")
    model.load_state_dict(weights)
    metainfo = (content.get("meta") or {}).get("dataset_meta") or cfg.test_dataloader.dataset.get("metainfo") or {}
    return model.eval(), metainfo.get("classes")
