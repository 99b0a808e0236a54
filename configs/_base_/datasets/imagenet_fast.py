# imagenet.py with less work per image in the data workers: they read, crop and resize; flip, colour jitter and
# lighting are done by batch on the training device. The same crops for the same seed, and the same distribution of
# the rest.
_base_ = "imagenet.py"

data_preprocessor = dict(
    type="AugmentingClsDataPreprocessor",
    flip_prob=0.5,
    brightness=0.4,
    contrast=0.4,
    saturation=0.4,
    alphastd=0.1,
)
train_pipeline = [dict(type="LoadRandomResizedCrop", scale=224), dict(type="PackTensors")]
train_dataloader = dict(
    pin_memory=True,
    collate_fn=dict(type="channels_last_batch"),
    dataset=dict(pipeline=train_pipeline),
)
val_dataloader = dict(pin_memory=True)
test_dataloader = dict(pin_memory=True)
