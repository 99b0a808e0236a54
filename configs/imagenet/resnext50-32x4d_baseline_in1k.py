_base_ = [
    "../_base_/models/resnext50-32x4d.py",
    "../_base_/datasets/imagenet.py",
    "../_base_/schedules/imagenet_300e.py",
    "../_base_/runtime.py",
]
