_base_ = [
    "../_base_/models/wrn-28-10.py",
    "../_base_/datasets/cifar100.py",
    "../_base_/schedules/cifar_200e.py",
    "../_base_/runtime.py",
]
model = dict(head=dict(num_classes=100))
