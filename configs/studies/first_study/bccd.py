_base_ = [
    "../../_base_/models/small-faster-rcnn_r18_fpn_cifar.py",
    "../../_base_/datasets/bccd_320x240.py",
    "schedule.py",
]
model = dict(roi_head=dict(bbox_head=dict(num_classes=3)))
train_dataloader = dict(batch_size=4)
val_dataloader = None
val_evaluator = None
