_base_ = "resizemix.py"
batch_augments = dict(probs=1.0)
