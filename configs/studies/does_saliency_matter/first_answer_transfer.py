# The first answer's transfer: backbones with the ImageNet stem, 25 epochs, in the small Faster R-CNN on BCCD.
_base_ = "_base_/arms.py"
name = "Does saliency matter? A first answer: transfer to BCCD"
options = {"train_cfg.max_epochs": 25, "param_scheduler.milestones": [8, 15, 20]}
arms = {
    arm: dict(config="pretrain_imagenet-stem-captured.py", cfg_options={**_base_.arms[arm].cfg_options, **options})
    for arm in ("cutmix", "random-shift", "saliency-shift")
}
arms["_delete_"] = True
del options
pretraining_seeds = list(range(10))
detectors = dict(bccd="../first_study/bccd.py")
planned = [("random-shift", "saliency-shift")]
