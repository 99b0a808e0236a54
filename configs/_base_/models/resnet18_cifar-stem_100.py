_base_ = "resnet18_cifar-stem.py"
model = dict(head=dict(num_classes=100))
