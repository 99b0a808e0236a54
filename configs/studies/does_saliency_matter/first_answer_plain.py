# The first answer without crop and flip. Without a crop `saliency-before-crop` is `saliency-shift`.
_base_ = "_base_/arms.py"
name = "Does saliency matter? A first answer: CIFAR-10 without crop and flip, 25 epochs"
options = {
    "train_cfg.max_epochs": 25,
    "param_scheduler.milestones": [8, 15, 20],
    "data_preprocessor.padding": 0,
    "data_preprocessor.flip_prob": 0.0,
}
arms = {
    arm: dict(config="pretrain_captured.py", cfg_options={**_base_.arms[arm].cfg_options, **options})
    for arm in ("cutmix", "random-shift", "saliency-shift", "official")
}
arms["_delete_"] = True
del options
pretraining_seeds = list(range(10))
planned = [("random-shift", "saliency-shift")]
metric = "accuracy/top1"
