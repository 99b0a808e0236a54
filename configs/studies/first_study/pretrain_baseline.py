# A fifth of CIFAR-10 for 8 epochs: what a CPU can do. Not the paper's protocol.
_base_ = "../../cifar10/resnet18-imagenet-stem_baseline_cifar10.py"
max_epochs = 8
train_cfg = dict(max_epochs=max_epochs, val_interval=max_epochs)
train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type="KFoldDataset",
        fold=0,
        num_splits=5,
        # The fold itself, a fifth, and not what is left of it.
        test_mode=True,
        seed=0,
        dataset={{_base_.train_dataloader.dataset}},
    )
)
param_scheduler = dict(
    _delete_=True, type="CosineAnnealingLR", by_epoch=True, T_max=max_epochs, convert_to_iter_based=True
)
default_hooks = dict(checkpoint=dict(interval=1, max_keep_ckpts=2, save_best=None))
