"""Trainings that are killed and resumed."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parents[2]


CLASSIFICATION = tuple(f"mmpretrain.{part}" for part in ("models", "datasets", "engine", "evaluation", "visualization"))

PRETRAINING = """
custom_imports = dict(imports=["smix_mm"], allow_failed_imports=False)
default_scope = "mmpretrain"
mean, std = [125.3, 123.0, 113.9], [63.0, 62.1, 66.7]
data_preprocessor = dict(
    num_classes=10, mean=mean, std=std, to_rgb=True,
    batch_augments=dict(augments=dict(type="SaliencyMix", mean=mean, std=std), probs=0.7),
)
model = dict(
    type="ImageClassifier",
    backbone=dict(type="ResNet", depth=18, stem_channels=8, base_channels=8, drop_path_rate=0.2),
    neck=dict(type="GlobalAveragePooling"),
    head=dict(type="LinearClsHead", num_classes=10, in_channels=64, loss=dict(type="CrossEntropyLoss", use_soft=True)),
)
crop = dict(type="RandomCrop", crop_size=32, padding=4)
flip = dict(type="RandomFlip", prob=0.5, direction="horizontal")
load, pack = dict(type="LoadImageFromFile"), dict(type="PackInputs")
train_dataloader = dict(
    batch_size=12,
    num_workers=2,
    persistent_workers=False,
    sampler=dict(type="DefaultSampler", shuffle=True),
    collate_fn=dict(type="default_collate"),
    dataset=dict(
        type="CustomDataset", data_root="{data}", data_prefix="train", indices=46, pipeline=[load, crop, flip, pack]
    ),
)
val_dataloader = dict(
    batch_size=8,
    num_workers=0,
    persistent_workers=False,
    sampler=dict(type="DefaultSampler", shuffle=False),
    collate_fn=dict(type="default_collate"),
    dataset=dict(type="CustomDataset", data_root="{data}", data_prefix="test", indices=8, pipeline=[load, pack]),
)
val_evaluator = dict(type="Accuracy")
train_cfg = dict(by_epoch=True, max_epochs=2)
val_cfg = dict()
optim_wrapper = dict(optimizer=dict(type="SGD", lr=0.05, momentum=0.9, nesterov=True))
param_scheduler = dict(type="CosineAnnealingLR", by_epoch=True, T_max=2)
randomness = dict(seed=3)
default_hooks = dict(
    logger=dict(type="LoggerHook", interval=1),
    checkpoint=dict(type="CheckpointHook", by_epoch=False, interval=1, max_keep_ckpts=2, save_best="auto"),
)
custom_hooks = [dict(type="KillHook")]
"""


DETECTION = """
_base_ = ["{root}/configs/_base_/models/small-faster-rcnn_r18_fpn.py", "mmdet::_base_/default_runtime.py"]
custom_imports = dict(imports=["smix_mm"], allow_failed_imports=False)
model = dict(backbone=dict(init_cfg=None), roi_head=dict(bbox_head=dict(num_classes=20)))
train_dataloader = dict(
    batch_size=2,
    num_workers=2,
    sampler=dict(type="DefaultSampler", shuffle=True),
    batch_sampler=dict(type="AspectRatioBatchSampler"),
    dataset=dict(
        type="VOCDataset",
        data_root="{data}/VOCdevkit/",
        ann_file="VOC2007/ImageSets/Main/trainval.txt",
        data_prefix=dict(sub_data_root="VOC2007/"),
        indices=8,
        pipeline=[
            dict(type="LoadImageFromFile"),
            dict(type="LoadAnnotations", with_bbox=True),
            dict(type="RandomResize", scale=[(160, 120), (128, 96)], keep_ratio=True),
            dict(type="RandomFlip", prob=0.5),
            dict(type="PackDetInputs"),
        ],
    ),
)
train_cfg = dict(by_epoch=True, max_epochs=2)
optim_wrapper = dict(optimizer=dict(type="SGD", lr=0.005, momentum=0.9))
randomness = dict(seed=3)
default_hooks = dict(
    logger=dict(interval=1),
    checkpoint=dict(type="CheckpointHook", by_epoch=False, interval=1, max_keep_ckpts=1),
)
custom_hooks = [dict(type="KillHook")]
"""


@dataclass
class Finished:
    status: int
    output: str
    work_dir: Path

    def checkpoint(self, name=None):
        """What a checkpoint holds, the newest or a named one."""
        path = self.work_dir / name if name else Path((self.work_dir / "last_checkpoint").read_text())
        return torch.load(path, weights_only=False)

    def weights(self):
        return self.checkpoint()["state_dict"]


@pytest.fixture(scope="session")
def forked_train():
    """``tools/train.py``, or another program, in a process forked off one that has imported everything already."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, Path(__file__).with_name("forked_runs.py")]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=environment
    ) as parent:

        def train(config, work_dir, *arguments, packages=CLASSIFICATION, program="train", **variables) -> Finished:
            work_dir.mkdir(parents=True, exist_ok=True)
            output = work_dir / "output.txt"
            order = dict(
                packages=["smix_mm", *packages],
                arguments=[str(config), "--work-dir", str(work_dir), *map(str, arguments)],
                environment={name: str(value) for name, value in variables.items()},
                output=str(output),
                program=program,
            )
            parent.stdin.write(json.dumps(order) + "\n")
            parent.stdin.flush()
            return Finished(int(parent.stdout.readline()), output.read_text(errors="replace"), work_dir)

        yield train
        # Closing its input is not enough: a process that this one forked meanwhile may hold the other end open.
        parent.stdin.write("\n")
        parent.stdin.close()


@pytest.fixture(scope="session")
def small_pretraining(few_cifar10, tmp_path_factory) -> Path:
    """Few images, a narrow ResNet that drops paths, SaliencyMix, two workers; 2 epochs of 4 batches."""
    config = tmp_path_factory.mktemp("configs") / "small.py"
    config.write_text(PRETRAINING.format(data=few_cifar10))
    return config


@pytest.fixture(scope="session")
def made_up_pretraining(made_up_cifar10, tmp_path_factory) -> Path:
    """``small_pretraining`` on images of noise, with what ``forked_runs`` and ``gpu_hooks`` register."""
    config = tmp_path_factory.mktemp("configs") / "made_up.py"
    hooks = 'custom_imports = dict(imports=["smix_mm", "forked_runs", "gpu_hooks"], allow_failed_imports=False)\n'
    config.write_text(PRETRAINING.format(data=made_up_cifar10) + hooks)
    return config


@pytest.fixture(scope="session")
def small_detection(smix_data, tmp_path_factory) -> Path:
    """A small Faster R-CNN on eight photographs of both orientations; 2 epochs of 4 batches of their own sizes."""
    config = tmp_path_factory.mktemp("configs") / "detection.py"
    config.write_text(DETECTION.format(root=ROOT, data=smix_data.absolute()))
    return config
