# ResNet-18 as for ImageNet: 7x7 stem and max-pool. The one whose backbone a detector can take.
_base_ = "resnet18_cifar-stem.py"
model = dict(backbone=dict(type="ResNet"))
