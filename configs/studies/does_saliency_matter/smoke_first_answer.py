# Smoke run of the first answer: six iterations of a narrow net. Its figures mean nothing.
_base_ = "_base_/arms.py"
name = "Smoke run, no result: a first answer"
arms = {
    arm: dict(config="pretrain_smoke-captured.py", cfg_options=_base_.arms[arm].cfg_options)
    for arm in ("cutmix", "random-shift", "saliency-shift", "saliency-before-crop", "official")
}
arms["_delete_"] = True
pretraining_seeds = [0, 1]
planned = [("random-shift", "saliency-shift")]
metric = "accuracy/top1"
