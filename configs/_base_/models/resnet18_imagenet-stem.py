# ResNet-18 as for ImageNet: 7x7 stem and max-pool, and mmpretrain's own way to begin. The one whose backbone a detector
# can take; no row of the paper.
_base_ = "resnet18_cifar-stem.py"
model = dict(backbone=dict(type="ResNet", zero_init_residual=True))
