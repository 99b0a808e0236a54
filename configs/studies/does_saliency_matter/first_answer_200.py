# The first answer with the paper's 200 epochs; each piece must be long enough for a whole run.
_base_ = "_base_/arms.py"
name = "Does saliency matter? A first answer: CIFAR-10, 200 epochs"
arms = {
    arm: dict(config="pretrain_captured.py", cfg_options=_base_.arms[arm].cfg_options)
    for arm in ("cutmix", "random-shift", "saliency-shift", "saliency-before-crop", "official")
}
arms["_delete_"] = True
pretraining_seeds = list(range(10))
planned = [("random-shift", "saliency-shift")]
metric = "accuracy/top1"
