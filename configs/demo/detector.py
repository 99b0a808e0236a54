# Digits in scenes of 128x96: a RetinaNet with two levels. Size, schedule and what is frozen were chosen by cost and by
# the spread over fine-tuning seeds of the baseline arm alone, before any other arm was run.
_base_ = ["../_base_/models/retinanet_r50_fpn.py", "mmdet::_base_/default_runtime.py"]
custom_imports = dict(imports=["smix_mm"], allow_failed_imports=False)
custom_hooks = [dict(type="LoadProofHook")]
data_root = "{{$SMIX_DEMO_DATA:work_dirs/demo/data}}/detection"
classes = ("four", "one", "three", "two", "zero")
channels = 32
model = dict(
    # The stem and the first stage stay as pretrained. The last stage, whose strides are wider than a digit, is loaded
    # and proved, and not used.
    backbone=dict(depth=18, stem_channels=16, base_channels=16, out_indices=(0, 1, 2), frozen_stages=1),
    neck=dict(in_channels=[16, 32, 64], out_channels=channels, add_extra_convs=False, num_outs=2),
    bbox_head=dict(
        num_classes=len(classes),
        in_channels=channels,
        feat_channels=channels,
        stacked_convs=1,
        anchor_generator=dict(
            _delete_=True, type="AnchorGenerator", strides=[8, 16], base_sizes=[8, 8], scales=[3.5], ratios=[1.0, 1.8]
        ),
    ),
)

scale = (128, 96)
train_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="LoadAnnotations", with_bbox=True),
    dict(type="Resize", scale=scale, keep_ratio=True),
    dict(type="PackDetInputs"),
]
test_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="Resize", scale=scale, keep_ratio=True),
    dict(type="LoadAnnotations", with_bbox=True),
    dict(type="PackDetInputs", meta_keys=("img_id", "img_path", "ori_shape", "img_shape", "scale_factor")),
]
dataset = dict(
    type="VOCDataset", metainfo=dict(classes=classes), data_root=data_root, data_prefix=dict(sub_data_root="")
)
train_dataloader = dict(
    batch_size=4,
    num_workers=0,
    persistent_workers=False,
    sampler=dict(type="DefaultSampler", shuffle=True),
    dataset=dict(
        ann_file="ImageSets/Main/train.txt",
        filter_cfg=dict(filter_empty_gt=True, bbox_min_size=1),
        pipeline=train_pipeline,
        **dataset,
    ),
)
test_dataloader = dict(
    batch_size=8,
    num_workers=0,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(ann_file="ImageSets/Main/test.txt", test_mode=True, pipeline=test_pipeline, **dataset),
)
test_evaluator = dict(type="DetectionMetric")
test_cfg = dict(type="TestLoop")

max_epochs = 2
train_cfg = dict(type="EpochBasedTrainLoop", max_epochs=max_epochs)
param_scheduler = [
    dict(type="LinearLR", start_factor=0.01, by_epoch=False, begin=0, end=30),
    dict(type="CosineAnnealingLR", by_epoch=True, T_max=max_epochs, convert_to_iter_based=True),
]
optim_wrapper = dict(
    type="OptimWrapper",
    # SGD would want more iterations than a demo has.
    optimizer=dict(type="AdamW", lr=2e-3, weight_decay=0.05),
    clip_grad=dict(max_norm=10),
)
default_hooks = dict(logger=dict(interval=10), checkpoint=dict(interval=1, max_keep_ckpts=2))
