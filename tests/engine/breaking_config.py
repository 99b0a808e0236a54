"""A small classifier on 32 images: 4 iterations an epoch, 2 epochs, all mixed by SaliencyMix."""

custom_imports = dict(imports=["smix_mm", "breaking_parts"])
default_scope = "mmpretrain"
mean, std = [125.3, 123.0, 113.9], [63.0, 62.1, 66.7]
data_preprocessor = dict(
    num_classes=10,
    mean=mean,
    std=std,
    to_rgb=True,
    batch_augments=dict(augments=dict(type="SaliencyMix", mean=mean, std=std), probs=1.0),
)
model = dict(
    type="ImageClassifier",
    backbone=dict(type="ResNet", depth=18, stem_channels=8, base_channels=8, drop_path_rate=0.2),
    neck=dict(type="GlobalAveragePooling"),
    head=dict(type="TwoLossHead", num_classes=10, in_channels=64, loss=dict(type="CrossEntropyLoss", use_soft=True)),
)
train_dataloader = dict(
    batch_size=8,
    num_workers=0,
    sampler=dict(type="DefaultSampler", shuffle=True),
    dataset=dict(
        type="CustomDataset",
        data_root="",
        data_prefix="train",
        indices=32,
        pipeline=[
            dict(type="LoadImageFromFile"),
            dict(type="Break"),
            dict(type="RandomFlip", prob=0.5),
            dict(type="PackInputs"),
        ],
    ),
)
train_cfg = dict(by_epoch=True, max_epochs=2)
optim_wrapper = dict(optimizer=dict(type="SGD", lr=0.05, momentum=0.9))
param_scheduler = dict(type="LinearLR", start_factor=0.1, by_epoch=False, end=6)
default_hooks = dict(
    timer=dict(type="IterTimerHook"),
    logger=dict(type="LoggerHook", interval=1),
    param_scheduler=dict(type="ParamSchedulerHook"),
    checkpoint=dict(type="CheckpointHook", by_epoch=False, interval=1),
    sampler_seed=dict(type="DistSamplerSeedHook"),
)
custom_hooks = [dict(type="BlowHook", at=0, what="")]
randomness = dict(seed=0)
