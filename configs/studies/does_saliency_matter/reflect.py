# Not in the list: saliency against a random place where the crop brings no black edges.
_base_ = "_base_/arms.py"
name = "Not in the list: CIFAR-10, mirrored padding"
options = {"data_preprocessor.type": "ReflectClsDataPreprocessor"}
arms = {
    arm: dict(config="pretrain_cifar10.py", cfg_options={**_base_.arms[arm].cfg_options, **options})
    for arm in ("baseline", "random-shift", "saliency-shift")
}
arms["_delete_"] = True
del options
pretraining_seeds = [0, 1, 2, 3, 4]
metric = "accuracy/top1"
sheet = "saliency-shift"
