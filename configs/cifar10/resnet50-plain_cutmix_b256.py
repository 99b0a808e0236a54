_base_ = "resnet50-plain_cutmix.py"
train_dataloader = dict(batch_size=256)
auto_scale_lr = dict(base_batch_size=256)
