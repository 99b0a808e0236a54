_base_ = "resnet50_cifar-stem.py"
model = dict(head=dict(num_classes=100))
