# Not in the list: neither crop nor flip, the paper's "C10", so that every peak lies in the image.
_base_ = "../cifar10/baseline.py"
data_preprocessor = dict(padding=0, flip_prob=0.0)
