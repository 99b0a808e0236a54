_base_ = "../first_study/bccd.py"
train_cfg = dict(_delete_=True, type="IterBasedTrainLoop", max_iters=2)
param_scheduler = [dict(type="ConstantLR", factor=1.0, by_epoch=False)]
default_hooks = dict(
    logger=dict(interval=1, log_metric_by_epoch=False),
    checkpoint=dict(interval=1, by_epoch=False),
)
log_processor = dict(by_epoch=False)
test_dataloader = dict(dataset=dict(indices=8))
