"""Short configs for a user's own images: a classifier for a folder of classes, a detector for VOC or COCO format."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ..utils.constants import IMAGENET_MEAN, IMAGENET_STD
from ..utils.errors import UsageError
from ..utils.files import write_text
from .layouts import Layout, find_layout

# Feature channels of a ResNet's four stages, by depth.
_CHANNELS = {18: (64, 128, 256, 512), 34: (64, 128, 256, 512), 50: (256, 512, 1024, 2048), 101: (256, 512, 1024, 2048)}
BACKBONES = tuple(f"resnet{depth}" for depth in _CHANNELS)
MIXES = ("saliencymix", "cutmix", "none")


def new_config(
    data: str | Path,
    out: str | Path,
    *,
    backbone: str = "resnet50",
    weights: str | None = None,
    mix: str = "saliencymix",
) -> Layout:
    """Write a short, commented config that trains on the images of a folder.

    Args:
        data: one of: ``train/<class>/`` and ``val/<class>/`` (or ``test``); VOC format (``Annotations``,
            ``JPEGImages``, ``ImageSets/Main``); COCO format (JSON files with train and val in their name or folder).
        out: config to write, ``.py``.
        backbone: one of ``BACKBONES``.
        weights: published backbone to start from. Defaults to None: random weights.
        mix: of the batches of a classifier, one of ``MIXES``.

    Returns:
        What was found in ``data``.

    Raises:
        UsageError: ``out`` exists or is no ``.py`` file, or an option is none of these or no file.
        DataError: the folder has none of these layouts, no class, or no set to evaluate.
    """
    for name, value, expected in (("backbone", backbone, BACKBONES), ("mix", mix, MIXES)):
        if value not in expected:
            raise UsageError(f"{name} should be one of {', '.join(expected)}, got {value}.")
    out = Path(out)
    if out.suffix != ".py":
        raise UsageError(f"the config should be a .py file, got {out}.")
    if out.exists():
        raise UsageError(f"{out} exists; choose another name.")
    if weights is not None and "://" not in weights and not Path(weights).is_file():
        raise UsageError(f"weights should be a file that publish_backbone wrote, got {weights}, which is none.")
    root = Path(data).absolute()
    layout = find_layout(root)
    depth = int(backbone.removeprefix("resnet"))
    make = _classifier if layout.kind == "classes" else _detector
    write_text(out, make(root, layout, depth, weights, mix))
    return layout


def _code(value: Any) -> str:
    """Python code of settings, with double quotes."""
    if isinstance(value, dict):
        return f"dict({_arguments(value)})"
    if isinstance(value, tuple):
        return f"({''.join(f'{_code(each)}, ' for each in value).rstrip()})"
    return json.dumps(value, ensure_ascii=False)


def _arguments(settings: dict[str, Any]) -> str:
    return ", ".join(f"{key}={_code(value)}" for key, value in settings.items())


def _start(weights: str | None) -> str:
    return f"init_cfg={_code(dict(type='Pretrained', checkpoint=weights)) if weights else None}"


def _classifier(root: Path, layout: Layout, depth: int, weights: str | None, mix: str) -> str:
    augments = {
        "saliencymix": 'dict(augments=dict(type="SaliencyMix", alpha=1.0, mean=mean, std=std), probs=0.5)',
        "cutmix": 'dict(augments=dict(type="CutMix", alpha=1.0), probs=0.5)',
        "none": "None",
    }[mix]
    number = len(layout.classes)
    topk = (1, 5) if number > 5 else (1,)
    return f'''"""ResNet-{depth} on {number} classes of {root.name}."""
_base_ = ["mmpretrain::_base_/models/resnet{depth}.py", "mmpretrain::_base_/default_runtime.py"]
custom_imports = dict(imports=["smix_mm"], allow_failed_imports=False)

data_root = {_code(str(root))}
mean, std = {list(IMAGENET_MEAN)}, {list(IMAGENET_STD)}  # of ImageNet, RGB, 0 to 255

model = dict(
    backbone=dict({_start(weights)}),
    head=dict(num_classes={number}, topk={topk}),
)
# Batches are mixed after normalization, with probability probs. For a run without mixing: batch_augments=None.
data_preprocessor = dict(
    num_classes={number},
    mean=mean,
    std=std,
    to_rgb=True,
    batch_augments={augments},
)

train_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="RandomResizedCrop", scale=224),
    dict(type="RandomFlip", prob=0.5, direction="horizontal"),
    dict(type="PackInputs"),
]
test_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="ResizeEdge", scale=256, edge="short"),
    dict(type="CenterCrop", crop_size=224),
    dict(type="PackInputs"),
]
train_dataloader = dict(
    batch_size=32,
    num_workers=4,
    sampler=dict(type="DefaultSampler", shuffle=True),
    dataset=dict({_arguments(layout.train)}, data_root=data_root, pipeline=train_pipeline),
)
val_dataloader = dict(
    batch_size=32,
    num_workers=4,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict({_arguments(layout.test)}, data_root=data_root, pipeline=test_pipeline),
)
test_dataloader = val_dataloader
val_evaluator = dict(type="Accuracy", topk={topk})
test_evaluator = val_evaluator

# The learning rate is for batches of 32; scale it with the batch (--auto-scale-lr).
max_epochs = 100
optim_wrapper = dict(optimizer=dict(type="SGD", lr=0.0125, momentum=0.9, weight_decay=1e-4, nesterov=True))
param_scheduler = dict(type="CosineAnnealingLR", T_max=max_epochs, by_epoch=True)
train_cfg = dict(by_epoch=True, max_epochs=max_epochs, val_interval=1)
val_cfg = dict()
test_cfg = dict()
auto_scale_lr = dict(base_batch_size=32)
default_hooks = dict(checkpoint=dict(max_keep_ckpts=2, save_best="auto"))
randomness = dict(seed=0)
'''


def _detector(root: Path, layout: Layout, depth: int, weights: str | None, mix: str) -> str:
    comment = "" if weights else "\n    # From random weights. To start from a published backbone, name its file here."
    trainable = (
        ""
        if weights
        else "\n        # Nothing is frozen, because nothing is pretrained."
        '\n        frozen_stages=-1,\n        norm_cfg=dict(type="BN", requires_grad=True),\n        norm_eval=False,'
    )
    number = len(layout.classes)
    hooks = (
        "# Before the first iteration, every backbone tensor is compared with its file.\n"
        'custom_hooks = [dict(type="LoadProofHook")]\n'
        if weights
        else ""
    )
    filters = "dict(filter_empty_gt=True, bbox_min_size=1)" if layout.kind == "voc" else "dict(filter_empty_gt=True)"
    return f'''"""Faster R-CNN with ResNet-{depth} and FPN on {number} classes of {root.name}."""
_base_ = ["mmdet::_base_/models/faster-rcnn_r50_fpn.py", "mmdet::_base_/default_runtime.py"]
custom_imports = dict(imports=["smix_mm"], allow_failed_imports=False)

data_root = {_code(str(root))}
classes = {_code(layout.classes)}
scale = (1333, 800)  # images are resized to fit, with their shape kept

model = dict({comment}
    backbone=dict(
        depth={depth},
        {_start(weights)},{trainable}
    ),
    neck=dict(in_channels={list(_CHANNELS[depth])}),
    roi_head=dict(bbox_head=dict(num_classes={number})),
)

train_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="LoadAnnotations", with_bbox=True),
    dict(type="Resize", scale=scale, keep_ratio=True),
    dict(type="RandomFlip", prob=0.5),
    dict(type="PackDetInputs"),
]
# Annotations are loaded after Resize, so that boxes are compared in pixels of the original image.
test_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="Resize", scale=scale, keep_ratio=True),
    dict(type="LoadAnnotations", with_bbox=True),
    dict(type="PackDetInputs", meta_keys=("img_id", "img_path", "ori_shape", "img_shape", "scale_factor")),
]
metainfo = dict(classes=classes)
train_dataloader = dict(
    batch_size=2,
    num_workers=2,
    sampler=dict(type="DefaultSampler", shuffle=True),
    batch_sampler=dict(type="AspectRatioBatchSampler"),
    dataset=dict(
        {_arguments(layout.train)},
        data_root=data_root,
        metainfo=metainfo,
        filter_cfg={filters},
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=2,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(
        {_arguments(layout.test)},
        data_root=data_root,
        metainfo=metainfo,
        test_mode=True,
        pipeline=test_pipeline,
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(type="DetectionMetric")  # AP by VOC's and by COCO's definition
test_evaluator = val_evaluator

# MMDetection's rate of 0.02 for 16 images, for the 2 images of one GPU; scale it with the batch (--auto-scale-lr).
max_epochs = 12
optim_wrapper = dict(type="OptimWrapper", optimizer=dict(type="SGD", lr=0.0025, momentum=0.9, weight_decay=1e-4))
param_scheduler = [
    dict(type="LinearLR", start_factor=0.001, by_epoch=False, begin=0, end=500),
    dict(type="MultiStepLR", by_epoch=True, begin=0, end=max_epochs, milestones=[8, 11], gamma=0.1),
]
train_cfg = dict(type="EpochBasedTrainLoop", max_epochs=max_epochs, val_interval=1)
val_cfg = dict(type="ValLoop")
test_cfg = dict(type="TestLoop")
auto_scale_lr = dict(enable=False, base_batch_size=2)
default_hooks = dict(checkpoint=dict(max_keep_ckpts=2, save_best="coco/mAP"))
{hooks}randomness = dict(seed=0)
'''
