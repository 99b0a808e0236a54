# For a backbone that was pretrained on CIFAR: its normalisation, and anchors from 16 pixels.
_base_ = "small-faster-rcnn_r18_fpn.py"
model = dict(
    data_preprocessor=dict(mean=[125.3, 123.0, 113.9], std=[63.0, 62.1, 66.7]),
    rpn_head=dict(anchor_generator=dict(scales=[4])),
)
