# The same study with two more arms: it continues in its folder, and the pairs of the other arms stay.
_base_ = "_base_/arms.py"
name = "Does saliency matter? A first answer: CIFAR-10, 25 epochs"
options = {"train_cfg.max_epochs": 25, "param_scheduler.milestones": [8, 15, 20]}
arms = {
    arm: dict(config="pretrain_captured.py", cfg_options={**_base_.arms[arm].cfg_options, **options})
    for arm in (
        "cutmix",
        "random-shift",
        "saliency-shift",
        "saliency-before-crop",
        "official",
        "resizemix",
        "guidedmixup",
    )
}
arms["_delete_"] = True
del options
pretraining_seeds = list(range(10))
planned = [("random-shift", "saliency-shift")]
metric = "accuracy/top1"
