_base_ = "cutmix.py"
batch_augments = dict(probs=1.0)
