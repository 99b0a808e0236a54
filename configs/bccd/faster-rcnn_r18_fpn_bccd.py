# Blood cells, from a published ResNet-18 backbone: SMIX_BACKBONE=backbone.pth, as for VOC.
_base_ = [
    "mmdet::_base_/models/faster-rcnn_r50_fpn.py",
    "../_base_/datasets/bccd.py",
    "mmdet::_base_/default_runtime.py",
]
custom_imports = dict(imports=["smix_mm"], allow_failed_imports=False)
backbone_checkpoint = "{{$SMIX_BACKBONE:backbone.pth}}"
model = dict(
    backbone=dict(depth=18, init_cfg=dict(type="Pretrained", checkpoint=backbone_checkpoint)),
    neck=dict(in_channels=[64, 128, 256, 512]),
    roi_head=dict(bbox_head=dict(num_classes=3)),
)
max_epochs = 12
train_cfg = dict(type="EpochBasedTrainLoop", max_epochs=max_epochs, val_interval=1)
val_cfg = dict(type="ValLoop")
test_cfg = dict(type="TestLoop")
param_scheduler = [
    dict(type="LinearLR", start_factor=0.001, by_epoch=False, begin=0, end=100),
    dict(type="MultiStepLR", by_epoch=True, begin=0, end=max_epochs, milestones=[8, 11], gamma=0.1),
]
optim_wrapper = dict(type="OptimWrapper", optimizer=dict(type="SGD", lr=0.005, momentum=0.9, weight_decay=1e-4))
auto_scale_lr = dict(enable=False, base_batch_size=2)
custom_hooks = [dict(type="LoadProofHook")]
randomness = dict(seed=0)
