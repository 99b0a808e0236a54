# The paper's protocol (CIFAR-100 "+", 200 epochs, batch 128); the last two arms are controls.
_base_ = "_base_/arms.py"
name = "Does saliency matter? CIFAR-100, paper protocol"
arms = {arm: dict(config="pretrain_cifar100.py") for arm in _base_.arms}
pretraining_seeds = [0, 1, 2, 3, 4]
planned = [("random-shift", "saliency-shift")]
metric = "accuracy/top1"
sheet = "saliency-shift"
# 100 less the paper's top-1 errors. Whether its SaliencyMix was that of the text or of the code is not known.
paper = {"baseline": 77.54, "cutout": 78.04, "cutmix": 80.58, "saliency-shift": 80.71}
