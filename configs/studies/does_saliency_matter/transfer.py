# Backbones with the ImageNet stem, pretrained by the paper's protocol on CIFAR-10, in the detectors of the first study.
_base_ = "_base_/arms.py"
name = "Does saliency matter? Transfer to BCCD and a small VOC07+12"
arms = {
    arm: dict(config="pretrain_imagenet-stem.py", cfg_options=_base_.arms[arm].cfg_options)
    for arm in ("baseline", "cutmix", "official", "saliency-shift")
}
arms["_delete_"] = True
pretraining_seeds = [0, 1, 2, 3, 4]
detectors = dict(bccd="../first_study/bccd.py", voc="../first_study/voc.py")
sheet = "saliency-shift"
