_base_ = [
    "../_base_/models/convnext-t.py",
    "../_base_/datasets/imagenet.py",
    "../_base_/fast_imagenet_adamw.py",
]
