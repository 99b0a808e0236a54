_base_ = [
    "../_base_/models/swin-t.py",
    "../_base_/datasets/imagenet.py",
    "../_base_/schedules/imagenet_300e_adamw.py",
    "../_base_/runtime.py",
]
optim_wrapper = dict(clip_grad=dict(max_norm=5.0))
