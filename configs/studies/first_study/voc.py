_base_ = [
    "../../_base_/models/small-faster-rcnn_r18_fpn_cifar.py",
    "../../_base_/datasets/voc0712_320x240.py",
    "schedule.py",
]
model = dict(roi_head=dict(bbox_head=dict(num_classes=20)))
train_dataloader = dict(
    batch_size=4,
    dataset=dict(_delete_=True, type="RepeatDataset", times=3, dataset=_base_.train_dataloader.dataset),
)
val_dataloader = None
val_evaluator = None
