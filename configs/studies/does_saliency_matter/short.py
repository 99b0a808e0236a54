# Short protocol: 25 epochs, three seeds, six arms. Not the paper's protocol.
_base_ = "_base_/arms.py"
name = "Does saliency matter? CIFAR-10, short protocol"
options = {"train_cfg.max_epochs": 25, "param_scheduler.milestones": [8, 15, 20]}
arms = {
    arm: dict(config="pretrain_cifar10.py", cfg_options={**_base_.arms[arm].cfg_options, **options})
    for arm in ("baseline", "cutmix", "random-shift", "official", "saliency-batch", "saliency-shift")
}
arms["_delete_"] = True
del options
pretraining_seeds = [0, 1, 2]
planned = [("random-shift", "saliency-shift")]
metric = "accuracy/top1"
sheet = "saliency-shift"
