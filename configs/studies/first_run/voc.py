_base_ = [
    "../../_base_/models/small-faster-rcnn_r18_fpn_cifar.py",
    "mmdet::_base_/datasets/voc0712.py",
    "schedule.py",
]
model = dict(roi_head=dict(bbox_head=dict(num_classes=20)))
data_root = "{{$SMIX_VOC:data/VOCdevkit}}/"
scale = (320, 240)
train_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="LoadAnnotations", with_bbox=True),
    dict(type="Resize", scale=scale, keep_ratio=True),
    dict(type="RandomFlip", prob=0.5),
    dict(type="PackDetInputs"),
]
test_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="Resize", scale=scale, keep_ratio=True),
    dict(type="LoadAnnotations", with_bbox=True),
    dict(type="PackDetInputs", meta_keys=("img_id", "img_path", "ori_shape", "img_shape", "scale_factor")),
]
part = dict(
    type="VOCDataset",
    data_root=data_root,
    filter_cfg=dict(filter_empty_gt=True, min_size=32, bbox_min_size=1),
    pipeline=train_pipeline,
)
train_dataloader = dict(
    batch_size=4,
    dataset=dict(
        _delete_=True,
        type="RepeatDataset",
        times=3,
        dataset=dict(
            type="ConcatDataset",
            ignore_keys=["dataset_type"],
            datasets=[
                dict(
                    ann_file=f"VOC{year}/ImageSets/Main/trainval.txt",
                    data_prefix=dict(sub_data_root=f"VOC{year}/"),
                    **part,
                )
                for year in (2007, 2012)
            ],
        ),
    ),
)
test_dataloader = dict(dataset=dict(data_root=data_root, pipeline=test_pipeline))
val_dataloader = None
val_evaluator = None
