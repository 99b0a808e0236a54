# Faster R-CNN R50-FPN by MMDetection's own schedule, started from a published backbone. Which one:
#   SMIX_BACKBONE=backbone.pth python tools/train.py configs/voc/faster-rcnn_r50_fpn_1x_voc0712.py
# or --cfg-options model.backbone.init_cfg.checkpoint=backbone.pth
_base_ = ["../_base_/models/faster-rcnn_r50_fpn.py", "../_base_/datasets/voc0712_repeat3.py", "schedule.py"]
model = dict(roi_head=dict(bbox_head=dict(num_classes=20)))
