# The paper's fine-tuning of a pretrained ResNet-50, as far as it can be known.
#
# The paper states: Faster R-CNN, ResNet-50, batch 8, lr 4e-3, 41,000 iterations, x0.1 at 33,000, VOC07+12 to VOC07
# test, mean of three runs. Our reading of these numbers is [F], the PyTorch Faster R-CNN that was in wide use then
# (faster-rcnn.pytorch by J. Yang et al.): the CutMix paper's appendix C names it, and its README has a row with lr
# 4e-3, 10 epochs and decay at 8, which are 41,000 and 33,000 iterations of 8 images with flips. From [F] are: C4 with
# the last stage as RoI head, frozen batch norm and stem, SGD, flips, linear warm-up, short side 600 and long side at
# most 1000, anchors of 128, 256 and 512 pixels in three shapes, 11-point AP at IoU 0.5; and RGB, as for the weights.
#
# Nothing is known of what follows; it is our choice. [M] is MMDetection's C4 config.
# - Momentum 0.9, weight decay 1e-4: [F] for ResNet-50, and [M]. Biases decay too: [M]; in [F] they do not.
# - Warm-up over 500 iterations from a thousandth: MMDetection's usual one. Nothing says how long it was.
# - The first residual stage is frozen together with the stem: [F] and [M].
# - 12,000 proposals before and 2,000 after suppression at IoU 0.7, boxes regressed for each class: [F] and [M].
# - 256 RoIs an image, a quarter of them objects, and 300 proposals in the test: [F] for ResNet-50. [M]: 512 and 1,000.
# - RoIAlign to 14x14, which the last stage halves: [M]. [F] halves the 14x14 by max-pooling, and the stage once more.
# - The stride of a bottleneck in its 3x3 convolution, as in all weights of mmpretrain, torchvision and timm.
# - Detections from score 0.05, suppressed at IoU 0.5, at most 100 an image: [M]. [F]: from 0, at 0.3, 100.
# - L1 loss on boxes: [M]. [F]: smooth L1.
# - Objects marked difficult are not trained on, so they count as background: [M]. [F] trains on them. The test counts
#   them neither way. Objects of every size are trained on: [F]; see _base_/datasets/voc0712.py.
# - A batch is padded to its largest image and a multiple of 32; upright and lying images do not mix: [M].
# - Tested every 8,200 iterations, for the curve; the last test counts, no best one is chosen.
#
# lr 4e-3 is for 8 images a step: on N GPUs set train_dataloader.batch_size to 8 / N, or use --auto-scale-lr.
_base_ = [
    "../_base_/models/faster-rcnn_r50-c4.py",
    "../_base_/datasets/voc0712.py",
    "mmdet::_base_/default_runtime.py",
]
custom_imports = dict(imports=["smix_mm"], allow_failed_imports=False)
custom_hooks = [dict(type="LoadProofHook")]
model = dict(
    roi_head=dict(bbox_head=dict(num_classes=20)),
    train_cfg=dict(rcnn=dict(sampler=dict(num=256))),
    test_cfg=dict(rpn=dict(max_per_img=300)),
)
train_dataloader = dict(batch_size=8, num_workers=4, sampler=dict(type="InfiniteSampler"))

max_iters = 41000
train_cfg = dict(type="IterBasedTrainLoop", max_iters=max_iters, val_interval=max_iters // 5)
val_cfg = dict(type="ValLoop")
test_cfg = dict(type="TestLoop")
param_scheduler = [
    dict(type="LinearLR", start_factor=0.001, by_epoch=False, begin=0, end=500),
    dict(type="MultiStepLR", by_epoch=False, begin=0, end=max_iters, milestones=[33000], gamma=0.1),
]
optim_wrapper = dict(type="OptimWrapper", optimizer=dict(type="SGD", lr=4e-3, momentum=0.9, weight_decay=1e-4))
auto_scale_lr = dict(enable=False, base_batch_size=8)
default_hooks = dict(checkpoint=dict(by_epoch=False, interval=1000, max_keep_ckpts=2))
log_processor = dict(by_epoch=False)
randomness = dict(seed=0)
