# 6 epochs at batch 4, the same for both detection sets; evaluated once, by the test.
_base_ = "mmdet::_base_/default_runtime.py"
max_epochs = 6
train_cfg = dict(type="EpochBasedTrainLoop", max_epochs=max_epochs)
val_cfg = None
test_cfg = dict(type="TestLoop")
param_scheduler = [
    dict(type="LinearLR", start_factor=0.01, by_epoch=False, begin=0, end=50),
    dict(type="CosineAnnealingLR", by_epoch=True, T_max=max_epochs, convert_to_iter_based=True),
]
optim_wrapper = dict(
    type="OptimWrapper",
    optimizer=dict(type="AdamW", lr=5e-4, weight_decay=0.05),
    clip_grad=dict(max_norm=10),
)
custom_imports = dict(imports=["smix_mm"], allow_failed_imports=False)
custom_hooks = [dict(type="LoadProofHook")]
default_hooks = dict(logger=dict(interval=10), checkpoint=dict(interval=1, max_keep_ckpts=2))
randomness = dict(seed=0)
