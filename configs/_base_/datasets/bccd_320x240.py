# BCCD with images small enough for a CPU.
_base_ = "bccd.py"
scale = (320, 240)
for loader in (_base_.train_dataloader, _base_.val_dataloader, _base_.test_dataloader):
    next(transform for transform in loader.dataset.pipeline if transform.type == "Resize").scale = scale
del loader
