# Digits in scenes of 160x120.
_base_ = ["../_base_/models/small-faster-rcnn_r18_fpn.py", "mmdet::_base_/default_runtime.py"]
custom_imports = dict(imports=["smix_mm"], allow_failed_imports=False)
custom_hooks = [dict(type="LoadProofHook"), dict(type="BoxCheckHook")]
data_root = "{{$SMIX_DEMO_DATA:work_dirs/demo/data}}/detection"
classes = ("four", "one", "three", "two", "zero")
model = dict(
    # Scenes are not the small pictures of the pretraining: nothing stays frozen.
    backbone=dict(frozen_stages=-1, norm_eval=False),
    rpn_head=dict(anchor_generator=dict(scales=[4])),
    roi_head=dict(bbox_head=dict(num_classes=len(classes))),
)

scale = (160, 120)
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
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type="DefaultSampler", shuffle=True),
    dataset=dict(
        ann_file="ImageSets/Main/train.txt",
        filter_cfg=dict(filter_empty_gt=True, bbox_min_size=1),
        pipeline=train_pipeline,
        **dataset,
    ),
)
test_dataloader = dict(
    batch_size=1,
    num_workers=1,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(ann_file="ImageSets/Main/test.txt", test_mode=True, pipeline=test_pipeline, **dataset),
)
test_evaluator = dict(type="DetectionMetric")
test_cfg = dict(type="TestLoop")

max_epochs = 6
train_cfg = dict(type="EpochBasedTrainLoop", max_epochs=max_epochs)
param_scheduler = [
    dict(type="LinearLR", start_factor=0.01, by_epoch=False, begin=0, end=30),
    dict(type="CosineAnnealingLR", by_epoch=True, T_max=max_epochs, convert_to_iter_based=True),
]
optim_wrapper = dict(
    type="OptimWrapper",
    # SGD would want more iterations than a demo has.
    optimizer=dict(type="AdamW", lr=1e-3, weight_decay=0.05),
    clip_grad=dict(max_norm=10),
)
default_hooks = dict(logger=dict(interval=10), checkpoint=dict(interval=1, max_keep_ckpts=2))
