_base_ = "wrn-28-10.py"
model = dict(head=dict(num_classes=100))
