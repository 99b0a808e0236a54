_base_ = [
    "../../_base_/models/resnet18_cifar-stem.py",
    "../../_base_/datasets/cifar100_in_memory.py",
    "_base_/pretraining.py",
]
model = dict(head=dict(type="BatchLinearClsHead", num_classes=100))
