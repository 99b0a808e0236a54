# ResNet-50 for ImageNet: 7x7 stem and max-pool.
_base_ = "resnet50_cifar-stem.py"
model = dict(backbone=dict(type="ResNet"), head=dict(type="BatchLinearClsHead", num_classes=1000))
