# The paper pretrains a ResNet-101 too, but fine-tunes the ResNet-50 alone; this is the same protocol for the other.
_base_ = "faster-rcnn_r50-c4_41k_voc0712.py"
model = dict(backbone=dict(depth=101), roi_head=dict(shared_head=dict(depth=101)))
