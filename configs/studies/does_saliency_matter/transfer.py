# Backbones with the ImageNet stem, pretrained by the paper's protocol on CIFAR-10, in the detectors of the first study.
name = "Does saliency matter? Transfer to BCCD and a small VOC07+12"
arms = {
    "baseline": "imagenet-stem/baseline.py",
    "cutmix": "imagenet-stem/cutmix.py",
    "official": "imagenet-stem/official.py",
    "saliency-shift": "imagenet-stem/saliency-shift.py",
}
pretraining_seeds = [0, 1, 2, 3, 4]
detectors = dict(bccd="../first_study/bccd.py", voc="../first_study/voc.py")
sheet = "saliency-shift"
