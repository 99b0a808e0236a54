# The paper's figures for ImageNet are CutMix's (arXiv 1905.04899, section 4.1), where the hole is 112x112.
_base_ = "../datasets/imagenet.py"
data_preprocessor = dict(batch_augments=dict(augments=dict(type="Cutout", length=112), probs=1.0))
