"""Class activation maps of several checkpoints beside each other."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from ..robustness.attacks import PixelClassifier
from ..transfer.checkpoint import read_checkpoint
from ..utils.config import read_config
from ..utils.errors import UsageError
from ..utils.files import atomic_path


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

    A row an image, a column a checkpoint; all maps of a row are of one class, each scaled to its
    own maximum, so that places can be compared and strengths cannot.

    Args:
        config: of the classifier; images go through its test pipeline.
        checkpoints: by the name that stands over the column.
        images: files.
        out: PNG to write.
        label: the class whose map is drawn. None: for each image the first checkpoint's first choice.
        cfg_options: settings by dotted name, laid over the config.

    Returns:
        ``out``.

    Raises:
        UsageError: an image or a checkpoint does not fit, or the backbone has no map to look at.
        FileNotFoundError, CheckpointError: a file is not there, or cannot be read.
    """
    if not checkpoints or not images:
        raise UsageError(f"got {len(checkpoints)} checkpoints and {len(images)} images; wanted one of each at least")
    for image in images:
        if not Path(image).is_file():
            raise FileNotFoundError(f"image {image} is not there; wanted an image file")
    cfg = read_config(config)
    cfg.merge_from_dict(dict(cfg_options or {}))
    inputs = [_through_pipeline(cfg, image) for image in images]
    rows: list[list[tuple[np.ndarray, str]]] = [[] for _ in inputs]
    chosen: list[int] = []
    for checkpoint in checkpoints.values():
        model, classes = _load(cfg, checkpoint)
        classifier = PixelClassifier(model)
        for place, pixels in enumerate(inputs):
            with torch.no_grad():
                scores = classifier(pixels)[0].softmax(0)
            if len(chosen) <= place:
                chosen.append(int(scores.argmax()) if label is None else label)
            if chosen[place] >= len(scores):
                raise UsageError(f"class {chosen[place]} was asked for; wanted 0 to {len(scores) - 1}")
            text = f"{_name(classes, chosen[place])}: {100 * scores[chosen[place]]:.0f} %"
            rows[place].append((class_activation_map(classifier, pixels, chosen[place]), text))
    rgb = bool((cfg.get("data_preprocessor") or {}).get("to_rgb"))
    shown = [each[0].flip(0) if rgb else each[0] for each in inputs]
    return _draw([each.permute(1, 2, 0).byte().numpy() for each in shown], rows, list(checkpoints), Path(out))


def class_activation_map(classifier: nn.Module, pixels: Tensor, label: int) -> np.ndarray:
    """Grad-CAM of the backbone's last map for one class, (H, W) in 0 to 1, of pixels (1, 3, H, W)."""
    from pytorch_grad_cam import GradCAM
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    with GradCAM(classifier, [last_map(classifier, pixels)]) as cam:
        found: np.ndarray = cam(pixels, [ClassifierOutputTarget(label)])[0]
    return found


def last_map(classifier: nn.Module, pixels: Tensor) -> nn.Module:
    """The last module of the backbone that gives a map (N, C, h, w) with more than one place.

    Raises:
        UsageError: there is none, as in a plain vision transformer.
    """
    seen: list[nn.Module] = []

    def look(module: nn.Module, args: object, output: object) -> None:
        if isinstance(output, Tensor) and output.dim() == 4 and output.shape[2] * output.shape[3] > 1:
            seen.append(module)

    backbone = classifier.model.backbone  # type: ignore[union-attr]
    hooks = [module.register_forward_hook(look) for module in backbone.modules() if module is not backbone]  # type: ignore[union-attr]
    try:
        with torch.no_grad():
            classifier(pixels)
    finally:
        for hook in hooks:
            hook.remove()
    if not seen:
        raise UsageError("the backbone gives no map (N, C, h, w); wanted a convolutional one")
    return seen[-1]


def _load(cfg: Any, checkpoint: str | Path) -> tuple[nn.Module, Sequence[str] | None]:
    """The model, and the names of its classes where the checkpoint or the config says them."""
    from mmengine.registry import init_default_scope
    from mmpretrain.registry import MODELS

    import smix_mm  # noqa: F401  (registers what a config may name)

    init_default_scope("mmpretrain")
    model = MODELS.build({**cfg.model, "data_preprocessor": {"type": "ClsDataPreprocessor", **cfg.data_preprocessor}})
    content = read_checkpoint(checkpoint)
    weights = content.get("state_dict", content)
    own = model.state_dict()
    wrong = sorted(set(own) ^ set(weights)) or [name for name in own if own[name].shape != weights[name].shape]
    if wrong:
        raise UsageError(
            f"{checkpoint} does not fit the config: {', '.join(wrong[:3])} differ; wanted its own checkpoint"
        )
    model.load_state_dict(weights)
    metas = (content.get("meta") or {}).get("dataset_meta") or cfg.test_dataloader.dataset.get("metainfo") or {}
    return model.eval(), metas.get("classes")


def _through_pipeline(cfg: Any, image: str | Path) -> Tensor:
    """Pixels (1, 3, H, W) as the test's data loader gives them."""
    from mmengine.dataset import Compose
    from mmengine.registry import init_default_scope

    init_default_scope("mmpretrain")
    packed = Compose(cfg.test_dataloader.dataset.pipeline)(dict(img_path=str(image), sample_idx=0))
    if packed is None:
        raise UsageError(f"image {image} cannot be read; wanted an image file")
    return packed["inputs"][None].float()


def _name(classes: Sequence[str] | None, label: int) -> str:
    return str(classes[label]) if classes and label < len(classes) else f"class {label}"


def _draw(images: list[np.ndarray], rows: list[list[tuple[np.ndarray, str]]], names: list[str], out: Path) -> Path:
    from matplotlib.figure import Figure

    heights = [2.1 * image.shape[0] / image.shape[1] + 0.3 for image in images]
    figure = Figure(figsize=(2.2 * (1 + len(names)), sum(heights) + 0.3), layout="constrained")
    grid = figure.subplots(len(images), 1 + len(names), squeeze=False, height_ratios=heights)
    for line, image, maps in zip(grid, images, rows):
        for axes in line:
            axes.imshow(image)
            axes.axis("off")
        for axes, (found, text) in zip(line[1:], maps):
            axes.imshow(found, cmap="jet", alpha=0.5, vmin=0, vmax=1)
            axes.set_title(text, fontsize=8)
    for axes, name in zip(grid[0], ["image", *names]):
        title = axes.get_title()
        axes.set_title(f"{name}\n{title}" if title else name, fontsize=9)
    with atomic_path(out) as temporary:
        figure.savefig(temporary, dpi=110)
    return out
