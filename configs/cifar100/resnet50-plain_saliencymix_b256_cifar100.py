_base_ = "resnet50-plain_saliencymix_cifar100.py"
train_dataloader = dict(batch_size=256)
auto_scale_lr = dict(base_batch_size=256)
