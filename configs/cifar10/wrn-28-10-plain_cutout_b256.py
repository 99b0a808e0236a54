_base_ = "wrn-28-10-plain_cutout.py"
train_dataloader = dict(batch_size=256)
auto_scale_lr = dict(base_batch_size=256)
