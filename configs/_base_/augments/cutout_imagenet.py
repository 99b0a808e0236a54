# The paper's figures for ImageNet are CutMix's (arXiv 1905.04899, section 4.1), where the hole is 112x112.
_base_ = "cutout.py"
batch_augments = dict(augments=dict(length=112))
