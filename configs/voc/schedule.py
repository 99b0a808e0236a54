# MMDetection's own schedule for VOC07+12: 4 epochs of three passes, x0.1 after the third; lr 0.01 is meant for 8 GPUs
# with 2 images each. With any other number of them: tools/train.py --auto-scale-lr.
_base_ = "mmdet::_base_/default_runtime.py"
custom_imports = dict(imports=["smix_mm"], allow_failed_imports=False)
custom_hooks = [dict(type="LoadProofHook")]
max_epochs = 4
train_cfg = dict(type="EpochBasedTrainLoop", max_epochs=max_epochs, val_interval=1)
val_cfg = dict(type="ValLoop")
test_cfg = dict(type="TestLoop")
param_scheduler = [dict(type="MultiStepLR", begin=0, end=max_epochs, by_epoch=True, milestones=[3], gamma=0.1)]
optim_wrapper = dict(type="OptimWrapper", optimizer=dict(type="SGD", lr=0.01, momentum=0.9, weight_decay=1e-4))
auto_scale_lr = dict(enable=False, base_batch_size=16)
randomness = dict(seed=0)
