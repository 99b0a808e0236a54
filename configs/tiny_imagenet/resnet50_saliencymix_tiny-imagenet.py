_base_ = [
    "../_base_/models/resnet50.py",
    "../_base_/datasets/tiny_imagenet.py",
    "../_base_/augments/saliencymix_imagenet.py",
    "../_base_/schedules/tiny-imagenet_100e.py",
    "../_base_/runtime.py",
]
data_preprocessor = dict(batch_augments=_base_.pop("batch_augments"))
model = dict(head=dict(num_classes=200))
