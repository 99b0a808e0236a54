# ../resnet18_baseline.py with the data in memory, in bfloat16: for a GPU.
_base_ = [
    "../../_base_/models/resnet18_cifar-stem.py",
    "../../_base_/datasets/cifar10_in_memory.py",
    "../../_base_/fast_cifar.py",
]
model = dict(head=dict(type="BatchLinearClsHead"))
