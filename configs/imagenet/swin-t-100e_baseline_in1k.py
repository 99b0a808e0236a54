_base_ = [
    "../_base_/models/swin-t.py",
    "../_base_/datasets/imagenet.py",
    "../_base_/fast_imagenet_adamw.py",
]
optim_wrapper = dict(clip_grad=dict(max_norm=5.0))
