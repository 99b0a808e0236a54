_base_ = [
    "../_base_/models/resnet18.py",
    "../_base_/datasets/imagenet.py",
    "../_base_/fast_imagenet.py",
]
