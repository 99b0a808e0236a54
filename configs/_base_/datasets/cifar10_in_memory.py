# CIFAR-10 in the memory of the training device, cropped, flipped and normalised there: the official files
# or image files, both under data_root. The same augmentation and numbers as cifar10.py.
data_root = "{{$SMIX_CIFAR10:data/cifar10}}"

data_preprocessor = dict(
    type="InMemoryClsDataPreprocessor",
    num_classes=10,
    # In RGB order, which is that of images in memory.
    mean=[125.3, 123.0, 113.9],
    std=[63.0, 62.1, 66.7],
    padding=4,
    flip_prob=0.5,
)

train_dataloader = dict(
    batch_size=128,
    num_workers=0,
    persistent_workers=False,
    pin_memory=False,
    sampler=dict(type="DefaultSampler", shuffle=True),
    collate_fn=dict(type="whole_batch"),
    dataset=dict(type="InMemoryDataset", data_root=data_root, split="train"),
)
val_dataloader = dict(
    batch_size=1000,
    num_workers=0,
    persistent_workers=False,
    pin_memory=False,
    sampler=dict(type="DefaultSampler", shuffle=False),
    collate_fn=dict(type="whole_batch"),
    dataset=dict(type="InMemoryDataset", data_root=data_root, split="test"),
)
val_evaluator = dict(type="Accuracy", topk=(1, 5))
test_dataloader = val_dataloader
test_evaluator = val_evaluator
