# 100 epochs; the released script decays x0.1 every 30 epochs where they are not 300.
_base_ = "imagenet_300e.py"
param_scheduler = dict(milestones=[30, 60, 90])
train_cfg = dict(max_epochs=100)
