_base_ = [
    "../_base_/models/resnet50.py",
    "../_base_/arms/imagenet_mixup.py",
    "../_base_/schedules/imagenet_300e.py",
    "../_base_/runtime.py",
]
