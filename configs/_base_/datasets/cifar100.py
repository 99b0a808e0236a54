# CIFAR-100, with the normalisation of CIFAR-10. SMIX_CIFAR100 is its folder: it has the official binary files
# (cifar-100-python/), or image files in train/<class>/ and test/<class>/.
_base_ = "cifar10.py"

import os  # noqa: E402

data_root = "{{$SMIX_CIFAR100:data/cifar100}}"
official = os.path.isdir(os.path.join(data_root, "cifar-100-python"))

data_preprocessor = dict(num_classes=100, to_rgb=not official)

load = [] if official else [dict(type="LoadImageFromFile")]
# The steps of CIFAR-10 except the loading.
train_pipeline = [*load, *_base_.train_pipeline[-3:]]
test_pipeline = [*load, *_base_.test_pipeline[-1:]]

train_part = dict(type="CustomDataset", data_prefix="train")
test_part = dict(type="CustomDataset", data_prefix="test")
if official:
    train_part = dict(type="CIFAR100", split="train", download=False)
    test_part = dict(type="CIFAR100", split="test", download=False)

train_dataloader = dict(dataset=dict(_delete_=True, data_root=data_root, pipeline=train_pipeline, **train_part))
val_dataloader = dict(dataset=dict(_delete_=True, data_root=data_root, pipeline=test_pipeline, **test_part))
test_dataloader = val_dataloader
