_base_ = [
    "../../_base_/models/resnet18_cifar-stem_100.py",
    "../../_base_/datasets/cifar100_in_memory.py",
    "_base_/pretraining.py",
]
model = dict(head=dict(type="BatchLinearClsHead"))
