# The stem that a detector can start from.
_base_ = [
    "../../_base_/models/resnet18_imagenet-stem.py",
    "../../_base_/datasets/cifar10_in_memory.py",
    "_base_/pretraining.py",
]
model = dict(head=dict(type="BatchLinearClsHead"))
