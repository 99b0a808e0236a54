_base_ = [
    "../_base_/models/wrn-28-10_100.py",
    "../_base_/datasets/cifar100.py",
    "../_base_/schedules/cifar_200e.py",
    "../_base_/runtime.py",
]
