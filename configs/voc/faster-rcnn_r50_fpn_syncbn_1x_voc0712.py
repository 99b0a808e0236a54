# For self-trained backbones, whose batch statistics may lie far from the detector's: nothing is frozen, and batch norm
# is trained over all GPUs. On one GPU mmengine turns it into ordinary batch norm, over the images of that GPU alone.
_base_ = "faster-rcnn_r50_fpn_1x_voc0712.py"
model = dict(backbone=dict(frozen_stages=-1, norm_cfg=dict(type="SyncBN", requires_grad=True), norm_eval=False))
