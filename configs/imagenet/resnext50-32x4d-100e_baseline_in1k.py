_base_ = [
    "../_base_/models/resnext50-32x4d.py",
    "../_base_/datasets/imagenet.py",
    "../_base_/fast_imagenet.py",
]
