# MMDetection's Faster R-CNN R50-FPN, from a published backbone.
_base_ = "mmdet::_base_/models/faster-rcnn_r50_fpn.py"
model = dict(backbone=dict(init_cfg=dict(type="Pretrained", checkpoint="{{$SMIX_BACKBONE:backbone.pth}}")))
