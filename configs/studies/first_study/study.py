# Real images, four arms, three pretraining seeds each, sized for two CPU cores: not the paper's protocol.
name = "First study: CIFAR-10 to BCCD and a small VOC07+12"
arms = dict(
    baseline="pretrain_baseline.py",
    cutmix=dict(config="pretrain_baseline.py", cfg_options=dict(augment="cutmix")),
    official=dict(config="pretrain_baseline.py", cfg_options=dict(augment="official-saliencymix")),
    saliencymix=dict(config="pretrain_baseline.py", cfg_options=dict(augment="saliencymix")),
)
pretraining_seeds = [0, 1, 2]
planned = [("baseline", "saliencymix"), ("cutmix", "saliencymix")]
detectors = dict(bccd="bccd.py", voc="voc.py")
sheet = "saliencymix"
