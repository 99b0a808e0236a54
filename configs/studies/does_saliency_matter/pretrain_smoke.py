# Smoke run: six iterations of a narrow net. It shows that every step works, and nothing else.
_base_ = "pretrain_cifar10.py"
model = dict(backbone=dict(stem_channels=8, base_channels=8), head=dict(in_channels=64))
train_dataloader = dict(batch_size=32)
train_cfg = dict(_delete_=True, by_epoch=False, max_iters=6, val_interval=6)
param_scheduler = dict(by_epoch=False, milestones=[2, 4, 5])
default_hooks = dict(
    logger=dict(interval=1, log_metric_by_epoch=False),
    checkpoint=dict(interval=2, by_epoch=False),
)
log_processor = dict(by_epoch=False)
