# The paper's protocol (CIFAR-10 "+", 200 epochs, batch 128).
_base_ = "_base_/arms.py"
name = "Does saliency matter? CIFAR-10, paper protocol"
arms = {arm: dict(config="pretrain_cifar10.py") for arm in _base_.arms}
pretraining_seeds = [0, 1, 2, 3, 4]
planned = [("random-shift", "saliency-shift")]
metric = "accuracy/top1"
sheet = "saliency-shift"
# 100 less the paper's top-1 errors. Whether its SaliencyMix was that of the text or of the code is not known.
paper = {"baseline": 95.28, "cutout": 96.01, "cutmix": 96.22, "saliency-shift": 96.35}
