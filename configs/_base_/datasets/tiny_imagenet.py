# Tiny-ImageNet as image files: train/<class>/ and val/<class>/, which may have subfolders. The paper gives only the
# net and the epochs. The rest is the released ImageNet script's, which in its first public state reads
# Tiny-ImageNet, and enlarges it to 224.
_base_ = "imagenet.py"
data_root = "{{$SMIX_TINY_IMAGENET:data/tiny-imagenet}}"
data_preprocessor = dict(num_classes=200)
train_part = dict(type="CustomDataset", data_root=data_root, data_prefix="train", pipeline={{_base_.train_pipeline}})
val_part = dict(type="CustomDataset", data_root=data_root, data_prefix="val", pipeline={{_base_.test_pipeline}})
train_dataloader = dict(dataset=dict(_delete_=True, **train_part))
val_dataloader = dict(dataset=dict(_delete_=True, **val_part))
test_dataloader = dict(dataset=dict(_delete_=True, **val_part))
