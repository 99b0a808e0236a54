# Real images, four arms, three pretraining seeds each, sized for two CPU cores: not the paper's protocol.
name = "First study: CIFAR-10 to BCCD and a small VOC07+12"
arms = {
    "baseline": "pretrain_baseline.py",
    "cutmix": "pretrain_cutmix.py",
    "official": "pretrain_official-saliencymix.py",
    "saliencymix": "pretrain_saliencymix.py",
}
pretraining_seeds = [0, 1, 2]
planned = [("baseline", "saliencymix"), ("cutmix", "saliencymix")]
detectors = dict(bccd="bccd.py", voc="voc.py")
sheet = "saliencymix"
