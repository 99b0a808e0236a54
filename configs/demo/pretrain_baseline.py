# Digits on photographs, 32x32: a ResNet-18 of a quarter of the width, for a third of a minute on one core.
_base_ = ["../_base_/models/resnet18_imagenet-stem.py", "../_base_/runtime.py"]
data_root = "{{$SMIX_DEMO_DATA:work_dirs/demo/data}}/classification"
data_preprocessor = dict(num_classes=5, mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], to_rgb=True)
model = dict(backbone=dict(stem_channels=16, base_channels=16), head=dict(num_classes=5, in_channels=128))

pipeline = [dict(type="LoadImageFromFile"), dict(type="PackInputs")]
train_dataloader = dict(
    batch_size=64,
    num_workers=0,
    sampler=dict(type="DefaultSampler", shuffle=True),
    collate_fn=dict(type="default_collate"),
    dataset=dict(type="CustomDataset", data_root=data_root, data_prefix="train", pipeline=pipeline),
)
val_dataloader = dict(
    batch_size=128,
    num_workers=0,
    sampler=dict(type="DefaultSampler", shuffle=False),
    collate_fn=dict(type="default_collate"),
    dataset=dict(type="CustomDataset", data_root=data_root, data_prefix="test", pipeline=pipeline),
)
test_dataloader = val_dataloader
val_evaluator = dict(type="Accuracy", topk=(1,))
test_evaluator = val_evaluator

max_epochs = 4
train_cfg = dict(by_epoch=True, max_epochs=max_epochs, val_interval=max_epochs)
val_cfg = dict()
test_cfg = dict()
# SGD would want more iterations than a demo has.
optim_wrapper = dict(optimizer=dict(type="AdamW", lr=2e-3, weight_decay=0.05))
param_scheduler = dict(type="CosineAnnealingLR", by_epoch=True, T_max=max_epochs, convert_to_iter_based=True)
default_hooks = dict(
    logger=dict(interval=10),
    checkpoint=dict(interval=1, max_keep_ckpts=2, save_best=None),
)
