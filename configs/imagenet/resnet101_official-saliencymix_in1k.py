_base_ = [
    "../_base_/models/resnet101.py",
    "../_base_/arms/imagenet_official-saliencymix.py",
    "../_base_/schedules/imagenet_300e.py",
    "../_base_/runtime.py",
]
