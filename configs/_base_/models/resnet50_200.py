_base_ = "resnet50.py"
model = dict(head=dict(num_classes=200))
