_base_ = [
    "../_base_/models/resnet101.py",
    "../_base_/arms/imagenet_cutmix.py",
    "../_base_/fast_imagenet.py",
]
