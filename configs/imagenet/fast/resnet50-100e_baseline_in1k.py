# ../resnet50-100e_baseline_in1k.py from packed images, augmented on the device: for a GPU.
_base_ = [
    "../../_base_/models/resnet50.py",
    "../../_base_/datasets/imagenet_packed.py",
    "../../_base_/fast_imagenet.py",
]
