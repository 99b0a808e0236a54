# ../resnet50_baseline_in1k.py from packed images, augmented on the device: for a GPU.
_base_ = [
    "../../_base_/models/resnet50.py",
    "../../_base_/datasets/imagenet_packed.py",
    "../../_base_/schedules/imagenet_300e.py",
    "../../_base_/runtime.py",
]
