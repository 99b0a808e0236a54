# Faster R-CNN on C4: the backbone's first three stages compute features, its last one is the RoI head. MMDetection's
# base is made for weights that came from Caffe: BGR, std 1, the stride in a bottleneck's first convolution; and its
# anchors begin at 32 pixels (scales 2 to 32 on stride 16). Weights of mmpretrain, torchvision and timm need the values
# below. Both parts load from the same file, each its own share.
_base_ = "mmdet::_base_/models/faster-rcnn_r50-caffe-c4.py"
pretrained = dict(type="Pretrained", checkpoint="{{$SMIX_BACKBONE:backbone.pth}}")
model = dict(
    data_preprocessor=dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], bgr_to_rgb=True),
    backbone=dict(style="pytorch", init_cfg=pretrained),
    rpn_head=dict(anchor_generator=dict(scales=[8, 16, 32], ratios=[0.5, 1.0, 2.0], strides=[16])),
    roi_head=dict(shared_head=dict(style="pytorch", init_cfg=pretrained)),
)
