# ResNet-18 as for ImageNet: 7x7 stem, max-pool and mmpretrain's own initialization. A detector can start from this
# backbone; no row of the paper.
_base_ = "resnet18_cifar-stem.py"
model = dict(backbone=dict(type="ResNet", zero_init_residual=True))
