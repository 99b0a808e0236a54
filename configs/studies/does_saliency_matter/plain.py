# Not in the list: saliency against a random place in images as they are, where the paper reports its largest gains.
_base_ = "_base_/arms.py"
name = "Not in the list: CIFAR-10 without crop and flip"
options = {"data_preprocessor.padding": 0, "data_preprocessor.flip_prob": 0.0}
arms = {
    arm: dict(config="pretrain_cifar10.py", cfg_options={**_base_.arms[arm].cfg_options, **options})
    for arm in ("baseline", "cutmix", "random-shift", "saliency-shift")
}
arms["_delete_"] = True
del options
pretraining_seeds = [0, 1, 2, 3, 4]
metric = "accuracy/top1"
sheet = "saliency-shift"
# 100 less the paper's top-1 errors for "C10".
paper = {"baseline": 89.37, "cutmix": 90.56, "saliency-shift": 92.41}
