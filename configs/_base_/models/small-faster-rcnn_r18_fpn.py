# A Faster R-CNN small enough for a CPU: 64 channels behind the backbone, few proposals.
_base_ = "mmdet::_base_/models/faster-rcnn_r50_fpn.py"
channels = 64
model = dict(
    backbone=dict(depth=18, init_cfg=dict(type="Pretrained", checkpoint="{{$SMIX_BACKBONE:backbone.pth}}")),
    neck=dict(in_channels=[64, 128, 256, 512], out_channels=channels),
    rpn_head=dict(in_channels=channels, feat_channels=channels),
    roi_head=dict(
        bbox_roi_extractor=dict(out_channels=channels),
        bbox_head=dict(in_channels=channels, fc_out_channels=128),
    ),
    train_cfg=dict(
        rpn=dict(sampler=dict(num=128)),
        rpn_proposal=dict(nms_pre=400, max_per_img=100),
        rcnn=dict(sampler=dict(num=64)),
    ),
    test_cfg=dict(rpn=dict(nms_pre=400, max_per_img=100)),
)
