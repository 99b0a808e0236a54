# CIFAR-10 with crop after padding by 4 and flip, which the paper marks "+". SMIX_CIFAR10 is its folder: it has the
# official binary files (cifar-10-batches-py/), or image files in train/<class>/ and test/<class>/.
# An empty _base_ is necessary: without it mmengine 0.10.7 takes a file with imports for a lazy config.
_base_ = []

import os  # noqa: E402

data_root = "{{$SMIX_CIFAR10:data/cifar10}}"
official = os.path.isdir(os.path.join(data_root, "cifar-10-batches-py"))

data_preprocessor = dict(
    num_classes=10,
    mean=[125.3, 123.0, 113.9],
    std=[63.0, 62.1, 66.7],
    # Image files are read as BGR; the official files are RGB.
    to_rgb=not official,
)

load = [] if official else [dict(type="LoadImageFromFile")]
train_pipeline = [
    *load,
    dict(type="RandomCrop", crop_size=32, padding=4),
    dict(type="RandomFlip", prob=0.5, direction="horizontal"),
    dict(type="PackInputs"),
]
test_pipeline = [*load, dict(type="PackInputs")]

train_part = dict(type="CustomDataset", data_prefix="train")
test_part = dict(type="CustomDataset", data_prefix="test")
if official:
    train_part = dict(type="CIFAR10", split="train", download=False)
    test_part = dict(type="CIFAR10", split="test", download=False)

train_dataloader = dict(
    batch_size=128,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type="DefaultSampler", shuffle=True),
    collate_fn=dict(type="default_collate"),
    dataset=dict(data_root=data_root, pipeline=train_pipeline, **train_part),
)
val_dataloader = dict(
    batch_size=256,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type="DefaultSampler", shuffle=False),
    collate_fn=dict(type="default_collate"),
    dataset=dict(data_root=data_root, pipeline=test_pipeline, **test_part),
)
val_evaluator = dict(type="Accuracy", topk=(1, 5))
test_dataloader = val_dataloader
test_evaluator = val_evaluator
