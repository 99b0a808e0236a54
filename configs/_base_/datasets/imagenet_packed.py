# imagenet_fast.py from few large files with smaller images, which `python tools/prepare_data.py imagenet --pack`
# writes: <split>.lmdb, and <split>.txt with the samples in the order of the class folders.
_base_ = "imagenet_fast.py"
packed_root = "{{$SMIX_IMAGENET_PACKED:data/imagenet-packed}}"
in_train = dict(backend="lmdb", db_path=f"{packed_root}/train.lmdb")
in_val = dict(backend="lmdb", db_path=f"{packed_root}/val.lmdb")

train_pipeline = [dict(type="LoadRandomResizedCrop", scale=224, backend_args=in_train), dict(type="PackTensors")]
test_pipeline = [
    dict(type="LoadImageFromFile", backend_args=in_val),
    dict(type="ResizeEdge", scale=256, edge="short"),
    dict(type="CenterCrop", crop_size=224),
    dict(type="PackInputs"),
]
train_part = dict(type="ImageNet", ann_file=f"{packed_root}/train.txt", pipeline=train_pipeline)
val_part = dict(type="ImageNet", ann_file=f"{packed_root}/val.txt", pipeline=test_pipeline)
train_dataloader = dict(dataset=dict(_delete_=True, **train_part))
val_dataloader = dict(dataset=dict(_delete_=True, **val_part))
test_dataloader = dict(dataset=dict(_delete_=True, **val_part))
