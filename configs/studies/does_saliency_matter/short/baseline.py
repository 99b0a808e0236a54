# Short protocol: 25 epochs in place of 200, with the steps of the learning rate at the same shares of the training.
_base_ = "../cifar10/baseline.py"
train_cfg = dict(max_epochs=25)
param_scheduler = dict(milestones=[8, 15, 20])
