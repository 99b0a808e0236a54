_base_ = [
    "../_base_/models/resnet50_200.py",
    "../_base_/arms/tiny-imagenet_saliencymix.py",
    "../_base_/schedules/tiny-imagenet_100e.py",
    "../_base_/runtime.py",
]
