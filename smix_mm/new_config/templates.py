"""The text of a new config."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Mapping

from ..utils.constants import IMAGENET_MEAN, IMAGENET_STD

# Feature channels of a ResNet's four stages, by depth.
_CHANNELS = {18: (64, 128, 256, 512), 34: (64, 128, 256, 512), 50: (256, 512, 1024, 2048), 101: (256, 512, 1024, 2048)}
# Their blocks; from depth 50 on, bottlenecks.
BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3)}
BACKBONES = tuple(f"resnet{depth}" for depth in _CHANNELS)
_MIXES = {
    "saliencymix": 'dict(augments=dict(type="SaliencyMix", alpha=1.0, mean=mean, std=std), probs=0.5)',
    "cutmix": 'dict(augments=dict(type="CutMix", alpha=1.0), probs=0.5)',
    "none": "None",
}
MIXES = tuple(_MIXES)

Settings = Mapping[str, Any]


def _arguments(settings: Settings) -> str:
    return ", ".join(f"{key}={value!r}" for key, value in settings.items())


def _start(weights: str | None) -> str:
    return f"init_cfg=dict(type='Pretrained', checkpoint={weights!r})" if weights else "init_cfg=None"


def classifier_text(
    root: Path, classes: tuple[str, ...], train: Settings, test: Settings, depth: int, weights: str | None, mix: str
) -> str:
    """A config of a classifier."""
    number = len(classes)
    topk = (1, 5) if number > 5 else (1,)
    return f'''"""ResNet-{depth} on {number} classes of {root.name}."""
_base_ = [
    "mmpretrain::_base_/models/resnet{depth}.py",
    "mmpretrain::_base_/datasets/imagenet_bs32.py",  # crops of 224, random for training
    "mmpretrain::_base_/schedules/imagenet_bs256_coslr.py",  # SGD, 100 epochs
    "mmpretrain::_base_/default_runtime.py",
]
custom_imports = dict(imports=["smix_mm"], allow_failed_imports=False)

data_root = {str(root)!r}
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
    batch_augments={_MIXES[mix]},
)
train_dataloader = dict(
    dataset=dict(
        _delete_=True, {_arguments(train)}, data_root=data_root, pipeline={{{{_base_.train_pipeline}}}}
    ),
)
val_dataloader = dict(
    dataset=dict(
        _delete_=True, {_arguments(test)}, data_root=data_root, pipeline={{{{_base_.test_pipeline}}}}
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(type="Accuracy", topk={topk})
test_evaluator = val_evaluator

# The learning rate is for batches of 32; scale it with the batch (--auto-scale-lr). For another number of epochs:
# train_cfg = dict(max_epochs=N) and param_scheduler = dict(T_max=N, end=N).
optim_wrapper = dict(optimizer=dict(lr=0.0125, nesterov=True))
auto_scale_lr = dict(base_batch_size=32)
default_hooks = dict(checkpoint=dict(max_keep_ckpts=2, save_best="auto"))
randomness = dict(seed=0)
'''


def detector_text(
    root: Path, classes: tuple[str, ...], train: Settings, test: Settings, depth: int, weights: str | None
) -> str:
    """A config of a detector."""
    hooks = (
        "# Before the first iteration, every backbone tensor is compared with its file.\n"
        'custom_hooks = [dict(type="LoadProofHook")]\n'
        if weights
        else ""
    )
    trainable = (
        ""
        if weights
        else "\n        # Nothing is frozen, because nothing is pretrained."
        '\n        frozen_stages=-1,\n        norm_cfg=dict(type="BN", requires_grad=True),\n        norm_eval=False,'
    )
    number = len(classes)
    more = ", bbox_min_size=1" if train["type"] == "VOCDataset" else ""
    return f'''"""Faster R-CNN with ResNet-{depth} and FPN on {number} classes of {root.name}."""
_base_ = [
    "mmdet::_base_/models/faster-rcnn_r50_fpn.py",
    "mmdet::_base_/schedules/schedule_1x.py",  # SGD, 12 epochs
    "mmdet::_base_/default_runtime.py",
]
custom_imports = dict(imports=["smix_mm"], allow_failed_imports=False)

data_root = {str(root)!r}
classes = {classes!r}
scale = (1333, 800)  # images are resized to fit, with their shape kept

model = dict(
    # init_cfg names the file of a published backbone, or is None for random weights.
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
        {_arguments(train)},
        data_root=data_root,
        metainfo=metainfo,
        filter_cfg=dict(filter_empty_gt=True{more}),
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=2,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(
        {_arguments(test)},
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
optim_wrapper = dict(optimizer=dict(lr=0.0025))
auto_scale_lr = dict(base_batch_size=2)
default_hooks = dict(checkpoint=dict(max_keep_ckpts=2, save_best="coco/mAP"))
{hooks}randomness = dict(seed=0)
'''
