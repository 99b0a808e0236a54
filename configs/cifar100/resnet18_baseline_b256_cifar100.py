_base_ = "resnet18_baseline_cifar100.py"
train_dataloader = dict(batch_size=256)
auto_scale_lr = dict(base_batch_size=256)
