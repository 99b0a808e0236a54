# VOC07+12: trained on both trainval sets (16,551 images), tested on VOC2007's test set (4,952).
# Short side 600, long side at most 1000. The folder that holds VOC2007 and VOC2012 is SMIX_VOC, or data/VOCdevkit.
data_root = "{{$SMIX_VOC:data/VOCdevkit}}"
scale = (1000, 600)

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
trainval = dict(
    type="VOCDataset",
    data_root=data_root,
    # MMDetection's own minimum of 32 pixels would turn every smaller object into background.
    filter_cfg=dict(filter_empty_gt=True, bbox_min_size=1),
    pipeline=train_pipeline,
)
train_dataloader = dict(
    batch_size=2,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type="DefaultSampler", shuffle=True),
    batch_sampler=dict(type="AspectRatioBatchSampler"),
    dataset=dict(
        type="ConcatDataset",
        # The two years differ in this entry of their metainfo, which would stop the concatenation.
        ignore_keys=["dataset_type"],
        datasets=[
            dict(
                ann_file=f"VOC{year}/ImageSets/Main/trainval.txt",
                data_prefix=dict(sub_data_root=f"VOC{year}/"),
                **trainval,
            )
            for year in (2007, 2012)
        ],
    ),
)
del trainval
val_dataloader = dict(
    batch_size=1,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(
        type="VOCDataset",
        data_root=data_root,
        ann_file="VOC2007/ImageSets/Main/test.txt",
        data_prefix=dict(sub_data_root="VOC2007/"),
        test_mode=True,
        pipeline=test_pipeline,
    ),
)
test_dataloader = val_dataloader
# AP50 by VOC's two definitions (the paper's is voc/mAP_11point) and COCO's APs, from one evaluation.
val_evaluator = dict(type="DetectionMetric")
test_evaluator = val_evaluator
