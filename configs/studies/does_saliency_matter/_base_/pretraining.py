# The part that all pretrainings of this study share: the fast path. The result is the last checkpoint, so that no epoch
# is chosen on test images. An interrupted run loses five epochs at most.
_base_ = "../../../_base_/fast_cifar.py"
custom_imports = dict(
    imports=[
        "smix_mm",
        "smix_mm.datasets.in_memory.dataset",
        "smix_mm.datasets.in_memory.preprocessor",
        "smix_mm.engine.hooks",
        "smix_mm.batch_augments.saliency_mix",
    ]
)
train_cfg = dict(val_interval=10)
default_hooks = dict(checkpoint=dict(interval=5, save_best=None))
