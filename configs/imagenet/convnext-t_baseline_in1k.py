_base_ = [
    "../_base_/models/convnext-t.py",
    "../_base_/datasets/imagenet.py",
    "../_base_/schedules/imagenet_300e_adamw.py",
    "../_base_/runtime.py",
]
