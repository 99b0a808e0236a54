# The protocol of self-supervised pretraining (MoCo, He et al., CVPR 2020; DenseCL, Wang et al., CVPR 2021), so that a
# backbone can be set beside their published ones. [D] is detection/ of facebookresearch/moco on Detectron2's defaults.
#
# As [D]: Faster R-CNN on C4, nothing frozen, batch norm trained over all GPUs, an extra norm behind the RoI head's
# stage, 24,000 iterations of 16 images, lr 0.02 after 100 of warm-up, x0.1 at 18,000 and 22,000, weight decay 1e-4 and
# none on norms, short side 480 to 800, anchors of 32 to 512 pixels, 512 RoIs an image, 1,000 proposals in the test;
# trained on trainval07+12, tested on test2007; RGB, the stride in a bottleneck's 3x3 convolution.
#
# Not as [D]:
# - Objects marked difficult are not trained on; [D] trains on them.
# - The statistics of batch norm are the running ones; [D] computes them again from 200 batches before the test.
# - coco/mAP is over 101 points of recall; [D] prints the mean over IoU 0.5 to 0.95 of VOC's 11-point AP.
#   voc/mAP_11point is its AP50.
#
# lr 0.02 is for 16 images a step, 8 GPUs with 2 each: on N GPUs set train_dataloader.batch_size to 16 / N, or use
# --auto-scale-lr. MoCo's
# authors report means of five runs, and deviations of 0.2 (AP50), 0.2 (AP) and 0.4 (AP75) for an ImageNet backbone.
_base_ = [
    "../_base_/models/faster-rcnn_r50-c4.py",
    "../_base_/datasets/voc0712_multiscale.py",
    "mmdet::_base_/default_runtime.py",
]
# The second has ResLayerExtraNorm, for MMDetection's registry.
custom_imports = dict(imports=["smix_mm", "mmpretrain.models.utils.res_layer_extra_norm"], allow_failed_imports=False)
custom_hooks = [dict(type="LoadProofHook", new=["norm.*"])]
trained = dict(norm_cfg=dict(type="SyncBN", requires_grad=True), norm_eval=False)
model = dict(
    backbone=dict(frozen_stages=-1, **trained),
    rpn_head=dict(anchor_generator=dict(scales=[2, 4, 8, 16, 32])),
    roi_head=dict(shared_head=dict(type="ResLayerExtraNorm", **trained), bbox_head=dict(num_classes=20)),
)
del trained
train_dataloader = dict(batch_size=2, sampler=dict(type="InfiniteSampler"))

max_iters = 24000
train_cfg = dict(type="IterBasedTrainLoop", max_iters=max_iters, val_interval=max_iters // 4)
val_cfg = dict(type="ValLoop")
test_cfg = dict(type="TestLoop")
param_scheduler = [
    dict(type="LinearLR", start_factor=0.001, by_epoch=False, begin=0, end=100),
    dict(type="MultiStepLR", by_epoch=False, begin=0, end=max_iters, milestones=[18000, 22000], gamma=0.1),
]
optim_wrapper = dict(
    type="OptimWrapper",
    optimizer=dict(type="SGD", lr=0.02, momentum=0.9, weight_decay=1e-4),
    paramwise_cfg=dict(norm_decay_mult=0.0),
)
auto_scale_lr = dict(enable=False, base_batch_size=16)
default_hooks = dict(checkpoint=dict(by_epoch=False, interval=1000, max_keep_ckpts=2))
log_processor = dict(by_epoch=False)
randomness = dict(seed=0)
