# ResNeXt-50: mmpretrain's width_per_group is MMDetection's base_width.
_base_ = "faster-rcnn_r50_fpn_1x_voc0712.py"
model = dict(backbone=dict(type="ResNeXt", groups=32, base_width=4))
