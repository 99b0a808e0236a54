# MMDetection's Faster R-CNN R50-FPN by its 1x schedule, 12 epochs, from a published backbone. lr 0.02 is for 16 images
# a step, 8 GPUs with 2 each; with any other number of them: tools/train.py --auto-scale-lr.
#   SMIX_BACKBONE=backbone.pth python tools/train.py configs/coco/faster-rcnn_r50_fpn_1x_coco.py --auto-scale-lr
_base_ = [
    "../_base_/models/faster-rcnn_r50_fpn.py",
    "../_base_/datasets/coco.py",
    "mmdet::_base_/schedules/schedule_1x.py",
    "mmdet::_base_/default_runtime.py",
]
custom_imports = dict(imports=["smix_mm"], allow_failed_imports=False)
custom_hooks = [dict(type="LoadProofHook")]
randomness = dict(seed=0)
