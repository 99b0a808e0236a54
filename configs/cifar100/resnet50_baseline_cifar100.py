_base_ = [
    "../_base_/models/resnet50_cifar-stem.py",
    "../_base_/datasets/cifar100.py",
    "../_base_/schedules/cifar_200e.py",
    "../_base_/runtime.py",
]
model = dict(head=dict(num_classes=100))
