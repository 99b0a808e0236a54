"""A small detector and a small classifier over made-up images."""

import copy

import pytest

CLASSES = ("cat", "dog")
MEAN, STD = [123.675, 116.28, 103.53], [58.395, 57.12, 57.375]


@pytest.fixture
def detector() -> dict:
    pytest.importorskip("mmdet.models")
    data = dict(type="VOCDataset", metainfo=dict(classes=CLASSES), ann_file="ImageSets/Main/test.txt")
    meta_keys = ("img_id", "ori_shape", "img_shape", "scale_factor")
    train = [dict(type=name) for name in ("LoadImageFromFile", "LoadAnnotations", "Resize", "RandomFlip")]
    test = [dict(type=name) for name in ("LoadImageFromFile", "Resize", "LoadAnnotations")]
    pack = dict(type="PackDetInputs", meta_keys=meta_keys)
    loader = dict(dataset=dict(data, pipeline=[*test, pack]))
    return dict(
        default_scope="mmdet",
        model=dict(
            type="FasterRCNN",
            data_preprocessor=dict(type="DetDataPreprocessor", mean=MEAN, std=STD, bgr_to_rgb=True),
            backbone=dict(type="ResNet", depth=18, num_stages=4, out_indices=(0, 1, 2, 3)),
            rpn_head=dict(type="RPNHead"),
            roi_head=dict(type="StandardRoIHead", bbox_head=dict(type="Shared2FCBBoxHead", num_classes=2)),
        ),
        train_dataloader=dict(dataset=dict(type="RepeatDataset", times=3, dataset=dict(data, pipeline=[*train, pack]))),
        val_dataloader=loader,
        test_dataloader=copy.deepcopy(loader),
        val_evaluator=dict(type="VOCMetric"),
        test_evaluator=dict(type="VOCMetric"),
        val_cfg=dict(),
        test_cfg=dict(),
        optim_wrapper=dict(optimizer=dict(type="SGD", lr=0.1, momentum=0.9, weight_decay=1e-4)),
        param_scheduler=[dict(type="MultiStepLR", milestones=[2, 3], gamma=0.1)],
        train_cfg=dict(max_epochs=4),
    )


@pytest.fixture
def classifier(tmp_path) -> dict:
    pytest.importorskip("mmpretrain.models")
    for name in ("train/ant", "train/bee", "val/ant", "val/bee"):
        (tmp_path / name).mkdir(parents=True)
    steps = [dict(type="LoadImageFromFile"), dict(type="PackInputs")]
    data = dict(type="CustomDataset", data_root=str(tmp_path), pipeline=steps)
    augment = dict(type="SaliencyMix", mean=MEAN, std=STD)
    return dict(
        default_scope="mmpretrain",
        model=dict(
            type="ImageClassifier",
            backbone=dict(type="ResNet", depth=18, num_stages=4),
            head=dict(type="LinearClsHead", num_classes=2, in_channels=512),
        ),
        data_preprocessor=dict(
            num_classes=2, mean=MEAN, std=STD, to_rgb=True, batch_augments=dict(augments=augment, probs=0.5)
        ),
        train_dataloader=dict(dataset=dict(data, data_prefix="train")),
        val_dataloader=dict(dataset=dict(data, data_prefix="val")),
        val_cfg=dict(),
        val_evaluator=dict(type="Accuracy", topk=(1,)),
        train_cfg=dict(max_epochs=1),
        optim_wrapper=dict(optimizer=dict(type="SGD", lr=0.1)),
    )
